"""One attempt of an operation: the handle that providers get."""

from __future__ import annotations

import enum
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import anyio

from enopax_core.errors import Cancelled, LeaseLost
from enopax_core.provider.values import STAGES, Outcome
from enopax_core.records.operation import OperationRecord, Progress

T = TypeVar("T")


class Stop(enum.Enum):
    """Why an attempt is to end early."""

    CANCELLED = "cancelled"
    LOST = "lost"  # another worker has it
    CLOSING = "closing"  # the server stops; the operation goes on after the next start


class Journal(Protocol):
    """Where an attempt writes what must outlive it; fenced."""

    async def announce(self, attempt: Attempt, outcome: Outcome) -> None:
        """Store what is known before the end."""

    async def save_step(self, attempt: Attempt, name: str, result: Any) -> None:
        """Store a step's result."""


class Attempt:
    """Implements `Operation` for providers; the worker drives it from outside."""

    def __init__(self, record: OperationRecord, journal: Journal, steps: dict[str, Any]) -> None:
        self.record = record
        self.scope = anyio.CancelScope()
        self.stopped: Stop | None = None
        self._journal, self._steps = journal, steps
        self._lock = threading.Lock()  # progress may come from a thread
        self._last = record.progress
        self._unwritten: list[Progress] = []

    @property
    def id(self) -> str:
        """See Operation."""
        return self.record.id

    @property
    def attempt(self) -> int:
        """See Operation."""
        return self.record.attempt

    def key(self, step: str) -> str:
        """See Operation."""
        return f"{self.id}/{step}"

    def progress(self, stage: str, message: str = "", percent: int | None = None) -> None:
        """See Operation."""
        self._check()
        with self._lock:
            given = STAGES.get(stage, self._last.percent) if percent is None else percent
            self._last = Progress(stage=stage, percent=min(100, max(0, given)), message=message)
            self._unwritten.append(self._last)

    async def announce(self, outcome: Outcome) -> None:
        """See Operation."""
        self._check()
        await self._journal.announce(self, outcome)

    async def step(self, name: str, do: Callable[[], Awaitable[T]]) -> T:
        """See Operation."""
        self._check()
        if name not in self._steps:
            result = await do()
            await self._journal.save_step(self, name, result)
            self._steps[name] = result
        return self._steps[name]  # type: ignore[no-any-return]  # what `do` gave, or its JSON from an earlier attempt

    # ── From outside ──────────────────────────────────────────────────────────────────────────────────────────────────

    def stop(self, why: Stop) -> None:
        """End early: async handlers are cancelled, plain ones hear of it at their next `progress`. In the event loop."""
        if self.stopped is None:
            self.stopped = why
            self.scope.cancel()

    @property
    def has_reported(self) -> bool:
        """Whether there is anything unwritten."""
        return bool(self._unwritten)

    def unwritten(self) -> list[Progress]:
        """Reports since the last call, at most the latest hundred: a chatty provider must not fill the log.

        Taken in the transaction that writes them: whichever comes first, a flush or the attempt's end, has them.
        """
        with self._lock:
            reports, self._unwritten = self._unwritten[-100:], []
        return reports

    def _check(self) -> None:
        if self.stopped is Stop.CANCELLED:
            raise Cancelled
        if self.stopped is not None:
            raise LeaseLost
