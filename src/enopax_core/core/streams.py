"""Use cases on the log of events: follow an operation, follow a project."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from enopax_core.core.operations import Operations
from enopax_core.core.places import Places
from enopax_core.errors import NotFound
from enopax_core.events.feed import ENDS, Feed, wait
from enopax_core.ledger import events
from enopax_core.ledger.interface import Ledger
from enopax_core.records.event import Event
from enopax_core.records.place import Place
from enopax_core.records.principal import Permission, Principal

PAGE = 200
Page = Callable[[int], Awaitable[list[Event]]]
"""Gives the events behind a position."""


@dataclass(frozen=True, kw_only=True)
class Followed:
    """A stream that is about to be read."""

    place: Place | None
    after: int  # the position behind which it begins
    events: AsyncIterator[Event | None]
    """None comes when nothing else did for 15 s."""


class Streams:
    """Follows the log. A stream ends when the server stops, or with `ended` set by whoever reads it."""

    def __init__(self, *, ledger: Ledger, feed: Feed, operations: Operations, places: Places) -> None:
        self._ledger, self._feed = ledger, feed
        self._operations, self._places = operations, places

    async def of_operation(self, principal: Principal, id: str, after: int) -> Followed | None:
        """An operation's events behind a position, to its terminal one; None: that was seen already. Raises NotFound."""
        seen = await self._operations.find(principal, id)
        if seen.record.state.ended:
            rest = await self._ledger.read(partial(events.of_operation, operation=id, after=after, size=1))
            if not rest:
                return None

        async def page(position: int) -> list[Event]:
            return await self._ledger.read(partial(events.of_operation, operation=id, after=position, size=PAGE))

        return Followed(place=seen.place, after=after, events=self._follow(page, after, until_end=True))

    async def of_project(self, principal: Principal, organisation: str, project: str, after: int | None) -> Followed:
        """A project's events behind a position; None: from now on. One that is not there yet is waited for. Raises Forbidden."""
        place = await self._places.allowed(principal, organisation, project, Permission.READ)
        if after is None:
            after = await self._ledger.read(events.last_position)

        async def page(position: int) -> list[Event]:
            nonlocal place
            if place.new:  # allowed or not, it is asked again: the project that came into being has an id of its own
                place = await self._places.allowed(principal, organisation, project, Permission.READ)
            if place.new:
                return []
            return await self._ledger.read(partial(events.of_project, project=place.project_id, after=position, size=PAGE))

        return Followed(place=place, after=after, events=self._follow(page, after, until_end=False))

    async def _follow(self, page: Page, after: int, *, until_end: bool) -> AsyncIterator[Event | None]:
        with self._feed.bell() as bell:
            while True:
                bell.clear()
                found = await page(after)
                for event in found:
                    after = event.position
                    yield event
                    if until_end and event.type in ENDS and not await self._goes_on(event):
                        return
                if self._feed.closing:
                    return
                if not found and not await wait(bell, HEARTBEAT):
                    yield None

    async def _goes_on(self, terminal: Event) -> bool:
        """A failed operation may have been retried since: then its stream goes on."""
        if terminal.operation is None:
            raise NotFound
        rest = await self._ledger.read(
            partial(events.of_operation, operation=terminal.operation, after=terminal.position, size=1)
        )
        return bool(rest)


HEARTBEAT = 15.0
"""Seconds of silence after which a stream shows that it lives."""
