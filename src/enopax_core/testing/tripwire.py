"""Ends an attempt at a chosen point, as a kill of the server or a customer's cancellation would."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio.from_thread

from enopax_core.engine.attempt import Attempt, Stop
from enopax_core.errors import Cancelled
from enopax_core.provider.spec import hookimpl
from enopax_core.provider.values import Operation, Outcome, Resource

T = TypeVar("T")


class Killed(BaseException):
    """The server ends here. No `except Exception` holds it up, and nothing of the attempt is written any more."""


class Tripwire:
    """A plugin that watches the first attempts of one type of operation and, if told a point, ends one there.

    The points are what a provider does with its `operation`: each report, each announcement and each step, before and
    after it is stored; and the moment after the method has returned, before the ledger knows.
    """

    def __init__(self, type: str, point: int | None = None, *, cancel: bool = False) -> None:
        """`cancel`: cancel the operation at that point instead of killing the server."""
        self.points: list[str] = []
        self.sprung: str | None = None
        """Where it ended an attempt, in words; None: it did not."""
        self.went_on: str | None = None
        """What the provider did with its `operation` after it had heard of the cancellation."""
        self.operation = self.resource = ""
        self.announced: list[Outcome] = []
        """What was announced and stored before."""
        self._type, self._point, self._cancel = type, point, cancel

    @hookimpl
    @asynccontextmanager
    async def enopax_attempt(self, operation: Operation, resource: Resource[Any]) -> AsyncIterator[None]:
        """Put the wire across the handle of this attempt."""
        if not isinstance(operation, Attempt) or operation.record.type != self._type or operation.attempt > 1 or self.sprung:
            yield
            return
        self.operation, self.resource = operation.id, resource.id
        self._wire(operation)
        yield
        if not self._cancel and not self.sprung:
            self._reach("after it had returned, before that was stored", operation)

    def _wire(self, attempt: Attempt) -> None:
        """The handle is the attempt's own: only what it does on the way to the original methods changes."""
        progress, announce, step = attempt.progress, attempt.announce, attempt.step
        loop_thread = threading.get_ident()

        def reach(where: str) -> None:
            self._reach(where, attempt, in_loop=threading.get_ident() == loop_thread)

        def reporting(stage: str, message: str = "", percent: int | None = None) -> None:
            reach(f"at progress({stage!r})")
            progress(stage, message, percent)

        async def announcing(outcome: Outcome) -> None:
            reach("before announce(…) was stored")
            await announce(outcome)
            self.announced.append(outcome)
            reach("after announce(…) was stored")

        async def stepping(name: str, do: Callable[[], Awaitable[T]]) -> T:
            async def doing() -> T:
                result = await do()
                reach(f"in step({name!r}), before its result was stored")
                return result

            reach(f"before step({name!r})")
            stored = await step(name, doing)
            reach(f"after step({name!r})")
            return stored

        for name, method in (("progress", reporting), ("announce", announcing), ("step", stepping)):
            setattr(attempt, name, method)

    def _reach(self, where: str, attempt: Attempt, *, in_loop: bool = True) -> None:
        self.points.append(where)
        if self.sprung:
            self.went_on = self.went_on or where
        if self.sprung or self._point != len(self.points) - 1:
            return
        self.sprung = where
        if not self._cancel:
            raise Killed
        if in_loop:
            attempt.stop(Stop.CANCELLED)
        else:
            anyio.from_thread.run_sync(attempt.stop, Stop.CANCELLED)
        raise Cancelled
