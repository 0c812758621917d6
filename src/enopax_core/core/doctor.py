"""Examines an installation: one small check for each concern, each finding with the command that mends it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

from enopax_core.builtin import keys
from enopax_core.builtin.keys import Key
from enopax_core.clock import Clock, parse
from enopax_core.core.backups import LAST
from enopax_core.ledger import events, operations
from enopax_core.ledger.events import Cursor
from enopax_core.ledger.interface import Ledger, Transaction
from enopax_core.registry import Problem

Severity = Literal["ok", "warning", "error"]
KEY_FILES = ("vault.keys", "owner.key")
LOW, VERY_LOW = 0.10, 0.03  # of the file system that may be left
SOON = timedelta(days=14)  # a key that ends within it should be renewed
OLD = timedelta(days=7)  # for a backup
LATE = timedelta(minutes=1)  # for an operation that is due
TOLERATED = timedelta(seconds=5)  # that a clock may go back


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check has found."""

    check: str
    severity: Severity
    message: str
    remedy: str = ""  # the command that mends it

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def found(check: str, *, worse: Sequence[Finding], well: str) -> Sequence[Finding]:
    """What was found, or that all is well."""
    return worse or [Finding(check=check, severity="ok", message=well)]


# ── The directory ─────────────────────────────────────────────────────────────────────────────────────────────────────


def directory(data_dir: Path, now: datetime, *, fix: bool) -> Iterator[Finding]:
    """Checks that need nothing but the files. `fix` takes away permissions that others have. Blocks."""
    yield from found("permissions", worse=list(permissions(data_dir, fix=fix)), well="Others can read none of it.")
    yield from found("keys", worse=list(key_files(data_dir)), well="The key files are there.")
    usage = shutil.disk_usage(data_dir)
    yield disk(usage.free, usage.total)
    file = data_dir / LAST
    yield backup_age(parse(file.read_text("utf-8").strip()) if file.exists() else None, now, data_dir)


def permissions(data_dir: Path, *, fix: bool) -> Iterator[Finding]:
    """Whether others may read the directory or the key files."""
    for path in (data_dir, *(data_dir / name for name in KEY_FILES)):
        if path.exists() and path.stat().st_mode & 0o077:
            if fix:
                path.chmod(path.stat().st_mode & 0o700)
                yield Finding(check="permissions", severity="ok", message=f"Others could read {path}; mended.")
            else:
                remedy = f"chmod go= {path}"
                yield Finding(check="permissions", severity="error", message=f"Others may read {path}.", remedy=remedy)


def key_files(data_dir: Path) -> Iterator[Finding]:
    """Whether the key files are there and whether secrets are sealed under one key alone."""
    vault = data_dir / "vault.keys"
    if not vault.exists():
        message = "vault.keys is missing: no secret can be opened without it."
        yield Finding(check="keys", severity="error", message=message, remedy="put vault.keys back from a backup")
    elif len(vault.read_bytes().split()) > 1:
        message = "Sealing secrets under a new key was not finished; the next start does."
        yield Finding(check="keys", severity="warning", message=message, remedy=f"enopax rotate-secrets --data-dir {data_dir}")
    if not (data_dir / "owner.key").exists():
        message = "owner.key is missing: commands on this machine cannot sign in by themselves."
        yield Finding(check="keys", severity="warning", message=message, remedy="write the owner's API key into owner.key")


def disk(free: int, total: int) -> Finding:
    """Whether the disk fills up. Both in bytes."""
    left = free / total if total else 0.0
    severity: Severity = "error" if left < VERY_LOW else "warning" if left < LOW else "ok"
    remedy = "" if severity == "ok" else "free disk space, or purge what is deleted"
    return Finding(check="disk", severity=severity, message=f"{left:.0%} ({free >> 20} MiB) of the disk is free.", remedy=remedy)


def backup_age(last: datetime | None, now: datetime, data_dir: Path) -> Finding:
    """How old the last backup is."""
    if last is not None and now - last <= OLD:
        return Finding(check="backup", severity="ok", message=f"The last backup was made {last:%Y-%m-%d %H:%M} UTC.")
    message = "No backup was made yet." if last is None else f"The last backup is {(now - last).days} days old."
    return Finding(check="backup", severity="warning", message=message, remedy=f"enopax backup --data-dir {data_dir}")


# ── Plugins and the ledger ────────────────────────────────────────────────────────────────────────────────────────────


def plugins(problems: Sequence[Problem]) -> Sequence[Finding]:
    """Whether every plugin can be used."""
    broken = [
        Finding(check="plugins", severity="error", message=f"{p.plugin}: {p.message}", remedy=f"enopax plugin check {p.plugin}")
        for p in problems
    ]
    return found("plugins", worse=broken, well="Every plugin can be used.")


@dataclass(frozen=True, kw_only=True)
class State:
    """What the checks of the ledger look at."""

    newest_event: datetime | None
    oldest_due: datetime | None
    waiting: int
    cursors: Sequence[Cursor]
    keys: Sequence[Key]


def read_state(transaction: Transaction) -> State:
    """All of it, as of one moment."""
    last = events.everything(transaction, after=max(0, events.last_position(transaction) - 1), size=1)
    oldest, waiting = operations.oldest_due(transaction)
    return State(
        newest_event=last[0].at if last else None,
        oldest_due=oldest,
        waiting=waiting,
        cursors=events.cursors(transaction),
        keys=keys.page(transaction, organisation=None, project=None, after=0, size=1000),
    )


async def ledger(source: Ledger, clock: Clock, *, running: bool) -> Sequence[Finding]:
    """Checks of what the ledger holds. `running`: a server works on it."""
    state, now = await source.read(partial(read_state)), clock()
    return [
        machine_clock(state.newest_event, now),
        queue(state.oldest_due, state.waiting, now, running=running),
        *found("events", worse=list(consumers(state.cursors)), well="Every plugin receives its events."),
        *found("expiring keys", worse=list(expiring(state.keys, now)), well="No API key ends soon."),
    ]


def machine_clock(newest_event: datetime | None, now: datetime) -> Finding:
    """Whether the clock went back: due times, leases and expiry follow it."""
    if newest_event is None or newest_event - now <= TOLERATED:
        return Finding(check="clock", severity="ok", message="The clock is not behind the newest event.")
    message = f"The clock is {newest_event - now} behind the newest event."
    return Finding(check="clock", severity="error", message=message, remedy="set the clock: timedatectl set-ntp true")


def queue(oldest: datetime | None, waiting: int, now: datetime, *, running: bool) -> Finding:
    """Whether operations that are due are taken up."""
    if oldest is None or now - oldest <= LATE:
        return Finding(check="queue", severity="ok", message=f"{waiting} operations are due.")
    message = f"{waiting} operations are due, the longest for {now - oldest}."
    remedy = "raise `workers` in enopax.toml, or look into the log" if running else "enopax serve"
    return Finding(check="queue", severity="warning", message=message, remedy=remedy)


def consumers(cursors: Sequence[Cursor]) -> Iterator[Finding]:
    """Plugins that fail on an event: theirs wait."""
    for cursor in cursors:
        if cursor.failures:
            message = f"{cursor.consumer} fails on the event behind {cursor.position} ({cursor.error}, {cursor.failures} times)."
            yield Finding(check="events", severity="warning", message=message, remedy=f"enopax plugin check {cursor.consumer}")


def expiring(known: Sequence[Key], now: datetime) -> Iterator[Finding]:
    """Keys that end soon."""
    for key in known:
        if key.expires_at is not None and now < key.expires_at <= now + SOON:
            message = f"The key {key.name} ({key.id}) ends at {key.expires_at:%Y-%m-%d %H:%M} UTC."
            yield Finding(check="expiring keys", severity="warning", message=message, remedy=f"enopax keys create {key.name!r}")
