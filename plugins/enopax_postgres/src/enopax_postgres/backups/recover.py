"""Recovery: which backup leads to a moment, and a data directory that replays the archive up to there."""

from __future__ import annotations

import gzip
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from enopax_core.provider import PermanentError, TemporaryError
from enopax_postgres import cluster
from enopax_postgres.backups.catalogue import SEGMENT, Backup, Catalogue
from enopax_postgres.backups.take import Beat
from enopax_postgres.installations import Installation
from enopax_postgres.machine import Machine
from enopax_postgres.serverfiles import quoted, restore_command

COMMIT = re.compile(r"\bCOMMIT (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) (\S+)")
LOOKED_AT = 200
"""Segments that are searched backwards for the last commit: an idle server switches none, so it is among the last."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where recovery shall end: at a moment, at the end of a backup, or (neither) at the end of the archive."""

    backup: Backup
    time: datetime | None = None
    at_backup: bool = False

    def parameters(self, archives: list[Path]) -> Mapping[str, str]:
        """Settings of the server that recovers; without effect once it has ended."""
        found = {
            "restore_command": restore_command(archives),
            "recovery_target_action": "promote",
            "hot_standby": "off",  # nobody gets in before the end; and a smaller plan than the source's is possible
        }
        if self.at_backup:
            found["recovery_target"] = quoted("immediate")
        elif self.time is not None:
            found["recovery_target_time"] = quoted(self.time.isoformat())  # microseconds and zone included
        return found


def earliest(backups: list[Backup]) -> datetime | None:
    """The first moment that can be recovered without a gap up to now; None: nothing can."""
    whole = [backup.finished_at for backup in backups if backup.fault is None and backup.until is None]
    return min(whole, default=None)


def choose(catalogue: Catalogue, *, backup: str | None, time: datetime | None, latest: datetime | None) -> Target:
    """The target that was asked for. Raises PermanentError naming the bounds."""
    if backup is not None:
        found = catalogue.get(backup)
        if found.fault is not None:
            raise PermanentError(f"The backup {backup} is damaged: {found.fault}")
        return Target(backup=found, at_backup=True)
    whole = [b for b in catalogue.all() if b.fault is None]
    usable = [b for b in whole if b.until is None]
    if time is not None:
        usable = [b for b in whole if b.finished_at <= time and (b.until is None or time < b.until)]
    first = earliest(whole)
    if not usable or (time is not None and latest is not None and time > latest):
        bounds = "nothing yet" if first is None or latest is None else f"{first.isoformat()} to {latest.isoformat()}"
        raise PermanentError(f"This moment cannot be recovered; possible is {bounds}.")
    return Target(backup=usable[-1], time=time)


def materialise(
    machine: Machine, installation: Installation, catalogue: Catalogue, target: Target, data: Path, beat: Beat
) -> None:
    """Put the backup where a server can start on it; it appears in one step, and recovers at the first start."""
    draft = data.with_name(f"{data.name}.{secrets.token_hex(4)}")
    chain = catalogue.chain(target.backup)
    folders = [str(catalogue.folder(link.id)) for link in chain]
    if len(folders) == 1:
        shutil.copytree(folders[0], draft, symlinks=True)
        machine.own(draft, below=True)
        draft.chmod(0o700)
    else:
        machine.run(installation, "pg_combinebackup", "--no-sync", f"--output={draft}", *folders, beat=beat)
    for leftover in ("postmaster.pid", "standby.signal"):
        (draft / leftover).unlink(missing_ok=True)
    machine.write(draft / "recovery.signal", b"")
    cluster.sync(draft)
    draft.rename(data)


def last_commit(machine: Machine, installation: Installation, archive: Path) -> datetime | None:
    """When the last transaction in an archive was committed: the latest moment for a server that no longer runs."""
    names = sorted(name for name in (file.name for file in archive.glob("*.gz")) if (m := SEGMENT.match(name)) and m[3] is None)
    scratch = archive / f".look-{secrets.token_hex(4)}"
    machine.directory(scratch)
    try:
        for name in reversed(names[-LOOKED_AT:]):
            segment = scratch / name.removesuffix(".gz")
            _unpack(archive / name, segment)
            machine.own(segment)
            try:
                said = machine.run(installation, "pg_waldump", "--quiet", "--rmgr=Transaction", str(segment))
            except TemporaryError:
                continue  # begins in the middle of a record
            commits = COMMIT.findall(said)
            if commits:
                day, zone = commits[-1]
                return datetime.fromisoformat(f"{day}+00:00") if zone == "UTC" else None
            segment.unlink()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return None


def _unpack(source: Path, target: Path) -> None:
    with gzip.open(source) as packed, target.open("wb") as file:
        shutil.copyfileobj(packed, file)
