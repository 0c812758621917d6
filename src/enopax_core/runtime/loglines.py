"""Log files of services as lines with time and level."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

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
    found: list[bytes] = []
    written_at: datetime | None = None
    for name in (path, *rotated(path)):
        if len(found) >= lines:
            break
        with contextlib.suppress(FileNotFoundError), name.open("rb") as file:
            written_at = written_at or datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
            found = [*_last_lines(file.fileno(), lines - len(found)), *found]
    return list(as_lines(found, written_at or datetime.now(UTC)))


def _last_lines(descriptor: int, wanted: int) -> list[bytes]:
    if wanted <= 0:
        return []
    position = os.fstat(descriptor).st_size
    kept = b""
    while position > 0 and kept.count(b"\n") <= wanted:
        begin = max(0, position - BLOCK)
        kept = os.pread(descriptor, position - begin, begin) + kept
        position = begin
    return kept.splitlines(keepends=True)[-wanted:]


async def follow(path: Path, lines: int, clock: Clock) -> AsyncGenerator[LogLine, None]:
    """The latest lines, then each as it is written, through rotations, until the log is gone."""
    descriptor, rest = _open(path), b""
    if descriptor is None:
        return
    try:
        position = os.fstat(descriptor).st_size
        for line in tail(path, lines):
            yield line
        while True:
            new = os.pread(descriptor, BLOCK, position)
            position += len(new)
            *whole, rest = (rest + new).split(b"\n")
            for line in as_lines(whole, clock()):
                yield line
            if new:
                continue
            if os.fstat(descriptor).st_size < position:  # truncated in place
                position, rest = 0, b""
                continue
            following = _open(path)
            if following is None and os.fstat(descriptor).st_nlink == 0:
                return
            if following is not None and os.fstat(following).st_ino != os.fstat(descriptor).st_ino:
                os.close(descriptor)
                descriptor, position = following, 0
                continue
            if following is not None:
                os.close(following)
            await anyio.sleep(LOOK_SECONDS)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
