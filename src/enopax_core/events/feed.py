"""Wakes whoever waits for events in this process. It carries no data: what counts is read from the ledger."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Sequence

import anyio

from enopax_core.records.event import Event

ENDS = frozenset({"operation.succeeded", "operation.failed", "operation.cancelled"})
"""Types of events after which nothing follows, unless somebody asks for a retry."""
REMEMBERED = 1000


class Feed:
    """Listeners of the ledger; every method is called in the event loop."""

    def __init__(self) -> None:
        self._bells: set[asyncio.Event] = set()
        self._ends: dict[str, set[asyncio.Event]] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()  # the latest, for whoever begins to wait too late
        self.position = 0  # of the newest event seen
        self.closing = False  # the server stops: whoever waits answers with what there is

    def ring(self, events: Sequence[Event]) -> None:
        """Events have become durable."""
        self.position = max(self.position, events[-1].position)
        for bell in self._bells:
            bell.set()
        for event in events:
            if event.operation is not None and event.type in ENDS:
                self._ended[event.operation] = None
                for end in self._ends.get(event.operation, ()):
                    end.set()
            elif event.operation is not None:
                self._ended.pop(event.operation, None)  # it was tried again
        while len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)

    def open(self) -> None:
        """The server starts; it may have been stopped before."""
        self.closing = False

    def close(self) -> None:
        """The server stops: wake everybody."""
        self.closing = True
        for bell in [*self._bells, *(end for ends in self._ends.values() for end in ends)]:
            bell.set()

    @contextlib.contextmanager
    def bell(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever something new is in the log; whoever waits clears it first."""
        bell = asyncio.Event()
        self._bells.add(bell)
        try:
            yield bell
        finally:
            self._bells.discard(bell)

    @contextlib.asynccontextmanager
    async def end_of(self, operation: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set once an operation has ended, if it has not ended long ago."""
        end = asyncio.Event()
        if operation in self._ended:
            end.set()
        self._ends.setdefault(operation, set()).add(end)
        try:
            yield end
        finally:
            self._ends[operation].discard(end)
            if not self._ends[operation]:
                del self._ends[operation]


async def wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event at most so long; whether it came."""
    with anyio.move_on_after(seconds):
        await event.wait()
        return True
    return event.is_set()
