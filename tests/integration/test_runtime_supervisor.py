"""The runtime of processes keeps every promise of a runtime."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import anyio

from enopax_core.clock import utc_now
from enopax_core.runtime import Log, Runtime
from enopax_core.runtime.opening import opened
from enopax_core.runtime.settings import RuntimeSettings
from enopax_core.testing import RuntimeConformance
from enopax_core.testing.runtime.base import ID, IDLE, PATIENCE


class TestSupervisor(RuntimeConformance):
    @asynccontextmanager
    async def open(self, data_dir: Path) -> AsyncIterator[Runtime]:
        async with opened(data_dir, RuntimeSettings(user="nobody"), utc_now) as opening:
            yield opening.runtime()

    async def test_no_line_is_lost_to_rotation_while_it_is_followed(self, runtime: Runtime) -> None:
        log, lines = Log(size=20_000, files=20), 5000  # 140 kB: nothing that was rotated is removed
        many = f"i=0; while [ $i -lt {lines} ]; do echo line $i of many that fill the log; i=$((i+1)); done"
        await runtime.ensure(self.service(f"echo before; while [ ! -e go ]; do sleep 0.05; done; {many}; {IDLE}", log=log))
        with anyio.fail_after(PATIENCE):
            async with aclosing(runtime.follow(ID, 1)) as following:
                assert (await anext(following)).message == "before"
                (await runtime.directory(ID) / "go").touch()
                for number in range(lines):
                    assert (await anext(following)).message == f"line {number} of many that fill the log"
