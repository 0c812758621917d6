"""Wakes whoever waits for events in this process. It carries no data: what counts is read from the ledger."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence

import anyio

from enopax_core.records.event import Event


class Feed:
    """Listeners of the ledger; every method is called in the event loop."""

    def __init__(self) -> None:
        self._bells: set[asyncio.Event] = set()
        self._ends: dict[str, set[asyncio.Event]] = {}
        self.position = 0  # of the newest event seen
        self.closing = False  # the server stops: whoever waits answers with what there is

    def ring(self, events: Sequence[Event]) -> None:
        """Events have become durable."""
        self.position = max(self.position, events[-1].position)
        for bell in self._bells:
            bell.set()
        for event in events:
            if event.operation in self._ends and event.type.rpartition(".")[2] in ("succeeded", "failed", "cancelled"):
                for end in self._ends[event.operation]:
                    end.set()

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
        """An event that is set once an operation has ended. Enter it before the operation can have ended."""
        end = asyncio.Event()
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
