"""Delivering operation ids, nothing else, at least once. The port, and the embedded dispatcher in memory."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

import anyio

from enopax_core.clock import Clock

RunOne = Callable[[str], Awaitable[None]]


class Dispatcher(Protocol):
    """Delivers ids to workers. May deliver twice, late or in any order: the claim in the ledger decides."""

    async def open(self) -> None:
        """Get ready to publish."""

    async def publish(self, operation_id: str, at: datetime | None = None) -> None:
        """Deliver an id now, or not before `at`."""

    async def serve(self, run_one: RunOne) -> None:
        """Deliver until cancelled."""


class MemoryDispatcher:
    """The embedded default: a heap in this process. What a crash loses, the sweep publishes again."""

    def __init__(self, workers: int, clock: Clock) -> None:
        self._workers, self._clock = workers, clock
        self._heap: list[tuple[datetime, int, str]] = []
        self._waiting: dict[str, datetime] = {}  # published and not yet delivered: when the earliest delivery is due
        self._numbers = itertools.count()
        self._changed = asyncio.Event()

    async def open(self) -> None:
        """See Dispatcher."""

    async def publish(self, operation_id: str, at: datetime | None = None) -> None:
        """See Dispatcher."""
        at = at or self._clock()
        known = self._waiting.get(operation_id)
        if known is not None and known <= at:
            return
        self._waiting[operation_id] = at
        heapq.heappush(self._heap, (at, next(self._numbers), operation_id))
        self._changed.set()

    async def serve(self, run_one: RunOne) -> None:
        """See Dispatcher."""
        slots = asyncio.Semaphore(self._workers)

        async def run(operation_id: str) -> None:
            try:
                await run_one(operation_id)
            finally:
                slots.release()

        async with anyio.create_task_group() as group:
            while True:
                operation_id = await self._next()
                await slots.acquire()
                group.start_soon(run, operation_id)

    async def _next(self) -> str:
        while True:
            self._changed.clear()
            if not self._heap:
                await self._changed.wait()
                continue
            wait = (self._heap[0][0] - self._clock()).total_seconds()
            if wait <= 0:
                at, _, operation_id = heapq.heappop(self._heap)
                if self._waiting.get(operation_id) == at:  # else it was published again, for an earlier time
                    del self._waiting[operation_id]
                    return operation_id
                continue
            with anyio.move_on_after(min(wait, 1.0)):  # the clock may be set: look again at least each second
                await self._changed.wait()
