"""The embedded dispatcher keeps what the engine relies on."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext

from enopax_core.clock import Clock
from enopax_core.engine.dispatch import Dispatcher, MemoryDispatcher
from enopax_core.testing import DispatcherConformance


class TestMemoryDispatcher(DispatcherConformance):
    def dispatcher(self, workers: int, clock: Clock) -> AbstractAsyncContextManager[Dispatcher]:
        return nullcontext(MemoryDispatcher(workers, clock))
