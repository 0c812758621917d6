"""Log files of services as lines with time and level."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal

import anyio

from enopax_core.clock import Clock
from enopax_core.records.log import LogLine

LONGEST = 8192  # characters of one line that are shown
BLOCK = 64 << 10
LOOK_SECONDS = 0.25
# The moment many programs begin a line with: 2026-01-31 12:00:00.123 UTC, 2026-01-31T12:00:00,123+01:00; taken as UTC
# where it names no zone.
MOMENT = re.compile(
    r"^\[?(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,6})\d*)?\s?(Z|UTC|[+-]\d\d:?\d\d|[+-]\d\d)?(?![\d:])\]?:?\s*"
)
Level = Literal["debug", "info", "warning", "error"]
LEVELS: tuple[tuple[Level, re.Pattern[str]], ...] = (
    ("error", re.compile(r"\b(ERROR|FATAL|PANIC|CRITICAL|Error|error)\b")),
    ("warning", re.compile(r"\b(WARN|WARNING|Warning|warning)\b")),
    ("debug", re.compile(r"\b(DEBUG|TRACE|Debug|debug)\b")),
)


def parse_line(raw: bytes) -> tuple[datetime | None, Level, str]:
    """The moment a line shows (None: it shows none), its level, and what it says."""
    text, moment = raw.decode("utf-8", "replace").rstrip("\r\n")[:LONGEST], None
    match = MOMENT.match(text)
    if match is not None:
        date, clock, fraction, zone = match.groups()
        offset = "+00:00" if zone in (None, "Z", "UTC") else zone
        with contextlib.suppress(ValueError):
            moment = datetime.fromisoformat(f"{date}T{clock}.{(fraction or '0').ljust(6, '0')}{offset}").astimezone(UTC)
            text = text[match.end() :]
    level: Level = next((level for level, pattern in LEVELS if pattern.search(text[:200])), "info")
    return moment, level, text


def as_lines(raw: Sequence[bytes], written_at: datetime) -> Iterator[LogLine]:
    """Lines in order; one that shows no moment has that of the line before it, and `written_at` where none shows any."""
    parsed = [parse_line(line) for line in raw]
    known = next((moment for moment, _, _ in parsed if moment is not None), written_at)
    for moment, level, text in parsed:
        known = moment or known
        yield LogLine(time=known, level=level, message=text)


def rotated(path: Path) -> list[Path]:
    """The older parts of a log, `path.1`, `path.2` …, the youngest first."""
    found = [other for other in path.parent.glob(f"{path.name}.*") if other.suffix[1:].isdigit() and other.stem == path.name]
    return sorted(found, key=lambda other: int(other.suffix[1:]))


def tail(path: Path, lines: int) -> list[LogLine]:
    """The latest lines of a log and its older parts."""
    file = _newest(path)
    if file is None:
        return []
    with file:
        return _latest(path, file, os.fstat(file.fileno()).st_size, lines)


async def follow(path: Path, lines: int, clock: Clock) -> AsyncGenerator[LogLine, None]:
    """The latest lines, then each as it is written, through rotations, until the log is gone.

    Nothing is read before it is asked for, so whoever is slow costs one block and one open file. Lines are lost to those
    alone who are so slow that a part is removed before they come to it.
    """
    file = _newest(path)
    if file is None:
        return
    try:
        position, rest, moment = _whole(file.fileno()), b"", None
        for line in _latest(path, file, position, lines):
            yield line
        while True:
            new = os.pread(file.fileno(), BLOCK, position)
            position += len(new)
            *whole, rest = (rest + new).split(b"\n")
            if len(rest) > BLOCK:  # a line without an end is cut
                whole, rest = [*whole, rest], b""
            for raw in whole:
                shown, level, text = parse_line(raw)
                moment = shown or moment
                yield LogLine(time=moment or clock(), level=level, message=text)
            if new:
                continue
            status = os.fstat(file.fileno())
            if status.st_size < position:  # truncated in place
                position, rest = 0, b""
            elif status.st_size > position:  # written while it was looked at
                continue
            elif (following := _following(path, file)) is not None:
                # What it was given since the last look is read first: nobody writes to it any more.
                if os.fstat(file.fileno()).st_size == position:
                    file.close()
                    file, position = following, 0
                else:
                    following.close()
            elif status.st_nlink == 0 and not _parts(path):
                return
            else:
                await anyio.sleep(LOOK_SECONDS)
    finally:
        file.close()


# ── The parts of a log ────────────────────────────────────────────────────────────────────────────────────────────────


def _parts(path: Path) -> list[Path]:
    """All of them, the newest first."""
    return [*([path] if path.exists() else []), *rotated(path)]


def _newest(path: Path) -> BinaryIO | None:
    """The part that is written; None where there is no log."""
    for part in (path, *rotated(path)):  # between two parts the first has no file
        with contextlib.suppress(FileNotFoundError):
            return part.open("rb", buffering=0)
    return None


def _following(path: Path, file: BinaryIO) -> BinaryIO | None:
    """The part that was begun when this one was full; None while this is the newest.

    Of one that was removed already it is the oldest there is.
    """
    parts = _parts(path)
    at = next((number for number, part in enumerate(parts) if _is(part, file)), len(parts))
    if at == 0:
        return None
    with contextlib.suppress(FileNotFoundError):  # renamed meanwhile: the next look finds it
        following = parts[at - 1].open("rb", buffering=0)
        behind = _older(path, following)
        if at == len(parts) or (behind and _is(behind[0], file)):
            return following
        following.close()  # renamed meanwhile: one lies between
    return None


def _older(path: Path, file: BinaryIO) -> list[Path]:
    """The parts before this one, the newest first."""
    parts = _parts(path)
    return next((parts[number + 1 :] for number, part in enumerate(parts) if _is(part, file)), [])


def _is(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _latest(path: Path, file: BinaryIO, end: int, lines: int) -> list[LogLine]:
    """The lines before a position of a part, and of those before it."""
    written_at = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
    found = _last_lines(file.fileno(), end, lines)
    for part in _older(path, file):
        if len(found) >= lines:
            break
        with contextlib.suppress(FileNotFoundError), part.open("rb") as other:
            found = [*_last_lines(other.fileno(), os.fstat(other.fileno()).st_size, lines - len(found)), *found]
    return list(as_lines(found, written_at))


def _last_lines(descriptor: int, end: int, wanted: int) -> list[bytes]:
    if wanted <= 0:
        return []
    position, kept = end, b""
    while position > 0 and kept.count(b"\n") <= wanted:
        begin = max(0, position - BLOCK)
        kept = os.pread(descriptor, position - begin, begin) + kept
        position = begin
    return kept.splitlines(keepends=True)[-wanted:]


def _whole(descriptor: int) -> int:
    """Where the last line ends that is written to its end."""
    position = os.fstat(descriptor).st_size
    while position > 0:
        begin = max(0, position - BLOCK)
        at = os.pread(descriptor, position - begin, begin).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        position = begin
    return 0
