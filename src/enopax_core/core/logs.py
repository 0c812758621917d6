"""Use case: follow the log of a resource's backend."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import anyio

from enopax_core.clock import parse, rfc3339
from enopax_core.core.looks import Looks, Seen
from enopax_core.core.streams import HEARTBEAT
from enopax_core.engine.engine import Engine
from enopax_core.engine.present import Presenter
from enopax_core.errors import EnopaxError
from enopax_core.events.feed import Feed
from enopax_core.records.log import LogLine
from enopax_core.records.principal import Permission, Principal

LOOK_SECONDS = 1.0  # between two looks at a log that cannot be followed


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A line that a reader has seen: logs have no numbers, so it is known by its moment and what it says."""

    time: datetime
    digest: str

    def __str__(self) -> str:
        return f"{rfc3339(self.time)}/{self.digest}"

    @classmethod
    def of(cls, line: LogLine) -> Mark:
        """The mark of a line."""
        return cls(time=line.time, digest=f"{zlib.crc32(line.message.encode()):08x}")

    @classmethod
    def parse(cls, text: str) -> Mark:
        """What `str` gave. Raises ValueError."""
        moment, slash, digest = text.partition("/")
        time = parse(moment)
        if not slash or time.tzinfo is None:
            raise ValueError(text)
        return cls(time=time, digest=digest)


class Logs:
    """Follows logs. A stream ends when the server stops, the backend is gone, or the caller may no longer see it."""

    def __init__(self, *, looks: Looks, engine: Engine, presenter: Presenter, feed: Feed) -> None:
        self._looks, self._engine, self._presenter, self._feed = looks, engine, presenter, feed

    async def follow(
        self, principal: Principal, endpoint: str, id: str, after: Mark | None = None
    ) -> AsyncGenerator[LogLine | None, None] | None:
        """The latest lines, or those behind a mark, then each as it is written; None: it is deleted, nothing more will come.

        A line may come again behind a mark, where programs write no moments or out of order; none is left out that is
        among the latest. The generator gives None every 15 s, and ends at once while there is no backend. It reads no
        further than it is asked to. Raises NotFound, Forbidden; the generator what the provider raises.
        """
        seen = await self._looks.find(principal, endpoint, id, Permission.LOGS)
        registered = self._looks.declaring(endpoint, "logs")
        if seen.record.deleted_at is not None:
            return None
        if not seen.record.has_backend:
            return _nothing()
        calls = self._engine.executor.calls(endpoint)
        resource = await self._presenter.resource(seen.record, registered)
        if registered.has("follow"):
            lines = calls.stream(calls.hooks.follow, resource=resource)
        else:
            lines = _looked_at(partial(calls, calls.hooks.logs, resource=resource))

        async def goes_on() -> bool:
            with contextlib.suppress(EnopaxError):
                now: Seen = await self._looks.find(principal, endpoint, id, Permission.LOGS)
                return now.record.deleted_at is None
            return False

        return self._guarded(lines if after is None else _behind(after, lines), goes_on)

    async def _guarded(
        self, lines: AsyncGenerator[LogLine, None], goes_on: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[LogLine | None, None]:
        loop = asyncio.get_running_loop()
        beat, following = loop.time() + HEARTBEAT, asyncio.ensure_future(anext(lines, None))
        try:
            with self._feed.bell() as bell:
                while not self._feed.closing:
                    bell.clear()
                    ringing = asyncio.ensure_future(bell.wait())
                    await asyncio.wait(
                        {following, ringing}, timeout=max(0.0, beat - loop.time()), return_when=asyncio.FIRST_COMPLETED
                    )
                    ringing.cancel()
                    if following.done():
                        line = following.result()
                        if line is None:
                            return
                        yield line
                        following = asyncio.ensure_future(anext(lines, None))
                    if loop.time() >= beat:
                        if not await goes_on():
                            return
                        yield None
                        beat = loop.time() + HEARTBEAT
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError, EnopaxError):
                await following
            await lines.aclose()


async def _nothing() -> AsyncGenerator[LogLine | None, None]:
    return
    yield  # what makes it a generator


async def _behind(mark: Mark, lines: AsyncGenerator[LogLine, None]) -> AsyncGenerator[LogLine, None]:
    """What comes after the marked line, or is later where that one is gone."""
    passed = False
    async with contextlib.aclosing(lines):
        async for line in lines:
            if passed or line.time > mark.time:
                passed = True
                yield line
            elif Mark.of(line) == mark:
                passed = True


async def _looked_at(look: Callable[[], Awaitable[Sequence[LogLine]]]) -> AsyncGenerator[LogLine, None]:
    """A log that is asked for again and again."""
    last: LogLine | None = None
    while True:
        for line in lines_behind(last, await look()):
            last = line
            yield line
        await anyio.sleep(LOOK_SECONDS)


def lines_behind(last: LogLine | None, lines: Sequence[LogLine]) -> Sequence[LogLine]:
    """What is new: everything behind the last line that was shown, or all that is later where that one is gone."""
    if last is None:
        return lines
    at = next((number for number in range(len(lines) - 1, -1, -1) if lines[number] == last), None)
    return [line for line in lines if line.time > last.time] if at is None else lines[at + 1 :]
