"""Log files of services: read and followed while they are written and rotated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import anyio
import pytest

from enopax_core.clock import utc_now
from enopax_core.records.log import LogLine
from enopax_core.runtime import loglines

pytestmark = pytest.mark.anyio


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log that holds nothing yet."""
    path = tmp_path / "box.log"
    path.touch()
    return path


def write(log: Path, text: str) -> None:
    """As the program does."""
    with log.open("a") as file:
        file.write(text)


def rotate(log: Path, keep: int = 9) -> None:
    """As supervisord does: the oldest goes, the others move on by one, a new one is begun."""
    log.with_name(f"{log.name}.{keep}").unlink(missing_ok=True)
    for number in range(keep - 1, 0, -1):
        part = log.with_name(f"{log.name}.{number}")
        if part.exists():
            part.rename(log.with_name(f"{log.name}.{number + 1}"))
    log.rename(log.with_name(f"{log.name}.1"))
    log.touch()


class Reader:
    """Somebody who follows."""

    def __init__(self, lines: AsyncIterator[LogLine]) -> None:
        self._lines = lines

    async def __call__(self, count: int) -> list[str]:
        """The next lines."""
        with anyio.fail_after(60):
            return [(await anext(self._lines)).message for _ in range(count)]


@asynccontextmanager
async def following(log: Path, lines: int = 0) -> AsyncIterator[Reader]:
    """Follow a log to the end of the block."""
    async with aclosing(loglines.follow(log, lines, utc_now)) as found:
        yield Reader(found)


async def test_it_begins_with_the_latest_lines_through_older_parts(log: Path) -> None:
    for number in range(6):
        write(log, f"{number}\n")
        rotate(log)
    write(log, "6\n")
    async with following(log, 3) as read:
        assert await read(3) == ["4", "5", "6"]


async def test_no_line_is_lost_or_told_twice_however_often_the_log_is_rotated_between_two_looks(log: Path) -> None:
    write(log, "0\n")
    async with following(log, 1) as read:
        assert await read(1) == ["0"]
        write(log, "1\n")  # at the end of a part that is rotated away before anybody looks
        for number in range(2, 7):
            rotate(log)
            write(log, f"{number}\n")
        assert await read(6) == ["1", "2", "3", "4", "5", "6"]
        rotate(log)
        write(log, "7\n")
        assert await read(1) == ["7"]


async def test_whoever_is_so_slow_that_parts_were_removed_goes_on_with_the_oldest(log: Path) -> None:
    write(log, "0\n")
    async with following(log, 1) as read:
        assert await read(1) == ["0"]
        for number in range(1, 6):
            rotate(log, keep=2)
            write(log, f"{number}\n")
        assert await read(3) == ["3", "4", "5"]


async def test_a_line_that_is_being_written_is_told_whole(log: Path) -> None:
    write(log, "one\ntw")
    async with following(log, 5) as read:
        assert await read(1) == ["one"]
        write(log, "o\n")
        assert await read(1) == ["two"]


async def test_a_line_without_an_end_is_cut(log: Path) -> None:
    async with following(log, 0) as read:
        write(log, "x" * (3 * loglines.BLOCK))
        (cut,) = await read(1)
        assert cut == "x" * loglines.LONGEST


async def test_a_line_without_a_moment_has_that_of_the_line_before_it_though_it_comes_later(log: Path) -> None:
    write(log, "2030-01-01 00:00:00.000 UTC began\n")
    async with aclosing(loglines.follow(log, 1, utc_now)) as lines:
        first = await anext(lines)
        write(log, "2030-01-02 00:00:00.000 UTC failed\n")
        second = await anext(lines)
        write(log, "  because of this\n")
        third = await anext(lines)
    assert (first.time.day, second.time.day, third.time) == (1, 2, second.time)


async def test_it_ends_when_the_log_is_removed(log: Path) -> None:
    write(log, "one\n")
    rotate(log)
    write(log, "two\n")
    async with aclosing(loglines.follow(log, 2, utc_now)) as lines:
        assert [(await anext(lines)).message for _ in range(2)] == ["one", "two"]
        for part in (log, *loglines.rotated(log)):
            part.unlink()
        with anyio.fail_after(60):
            assert [line async for line in lines] == []
