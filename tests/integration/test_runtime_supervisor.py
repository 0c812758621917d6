"""The runtime of processes keeps every promise of a runtime."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import anyio
import pytest

from enopax_core.clock import utc_now
from enopax_core.runtime import Log, Runtime, State
from enopax_core.runtime.opening import opened
from enopax_core.runtime.settings import RuntimeSettings
from enopax_core.runtime.supervisor import rpc
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

    async def test_a_service_that_dies_while_it_is_being_stopped_stays_so(
        self, runtime: Runtime, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await runtime.ensure(self.service(IDLE))
        log, pid = data_dir / "runtime" / "supervisord.log", (await runtime.status(ID)).pid
        assert pid is not None
        alive = [pid]

        class Unlucky(rpc._Connection):
            """supervisord sees the end between a call's connection and the call, and starts the service again after it."""

            def connect(self) -> None:
                super().connect()
                if alive:
                    os.kill(alive.pop(), signal.SIGKILL)
                    while Path(f"/proc/{pid}").exists():
                        time.sleep(0.001)

        with anyio.fail_after(PATIENCE):
            while "entered RUNNING state" not in log.read_text():  # noqa: ASYNC110  # what ends before, it starts again later
                await anyio.sleep(0.01)
            monkeypatch.setattr(rpc, "_Connection", Unlucky)
            await runtime.stop(ID)
        assert (await runtime.status(ID)).state is State.STOPPED
