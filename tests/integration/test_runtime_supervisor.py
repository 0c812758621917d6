"""The runtime of processes keeps every promise of a runtime."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from enopax_core.clock import utc_now
from enopax_core.runtime import Runtime
from enopax_core.runtime.opening import opened
from enopax_core.runtime.settings import RuntimeSettings
from enopax_core.testing import RuntimeConformance


class TestSupervisor(RuntimeConformance):
    @asynccontextmanager
    async def open(self, data_dir: Path) -> AsyncIterator[Runtime]:
        async with opened(data_dir, RuntimeSettings(user="nobody"), utc_now) as opening:
            yield opening.runtime()
