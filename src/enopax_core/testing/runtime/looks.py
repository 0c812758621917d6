"""What can be seen of a service: log, metrics, limits; and signals that reach it."""

from __future__ import annotations

from contextlib import aclosing

import anyio
import pytest

from enopax_core.errors import NotFound
from enopax_core.runtime import Limits, Log, Runtime
from enopax_core.testing.runtime.base import ID, IDLE, PATIENCE, RuntimeKit, content, eventually

ROUND = 128 << 10  # bytes by which a file may pass its size: supervisord looks at it after each read, which takes so many


class Looks(RuntimeKit):
    """Logs, metrics, limits, signals."""

    async def test_its_log_is_what_it_writes_to_output_and_error(self, runtime: Runtime) -> None:
        await runtime.ensure(self.service(f"echo to output; echo to error >&2; {IDLE}"))
        lines = await eventually("both lines", lambda: _messages(runtime, 2))
        assert sorted(lines) == ["to error", "to output"]

    async def test_the_latest_lines_are_given_oldest_first(self, runtime: Runtime) -> None:
        await runtime.ensure(self.service(f"for i in 1 2 3 4 5; do echo line $i; done; {IDLE}"))
        await eventually("all lines", lambda: _messages(runtime, 5))
        assert [line.message for line in await runtime.logs(ID, 2)] == ["line 4", "line 5"]

    async def test_lines_are_followed_as_they_are_written(self, runtime: Runtime) -> None:
        await runtime.ensure(self.service(f"echo before; while [ ! -e go ]; do sleep 0.05; done; echo after; {IDLE}"))
        await eventually("the first line", lambda: _messages(runtime, 1))
        seen: list[str] = []
        with anyio.fail_after(PATIENCE):
            async with aclosing(runtime.follow(ID, 1)) as following:
                async for line in following:
                    seen.append(line.message)
                    (await runtime.directory(ID) / "go").touch()
                    if len(seen) == 2:
                        break
        assert seen == ["before", "after"]

    async def test_its_log_outlives_its_restart(self, runtime: Runtime) -> None:
        await runtime.ensure(self.service(f"echo first; {IDLE}"))
        await eventually("the first line", lambda: _messages(runtime, 1))
        await runtime.ensure(self.service(f"echo second; {IDLE}"))
        assert await eventually("the second line", lambda: _messages(runtime, 2)) == ["first", "second"]

    async def test_its_log_does_not_grow_without_bound(self, runtime: Runtime) -> None:
        log = Log(size=20_000, files=2)
        many = "i=0; while [ $i -lt 30000 ]; do echo line $i of many that fill the log; i=$((i+1)); done; echo > done"
        await runtime.ensure(self.service(f"{many}; {IDLE}", log=log))
        await content(await runtime.directory(ID) / "done")

        async def last() -> bool:
            lines = await runtime.logs(ID, 1)
            return bool(lines) and lines[0].message.startswith("line 29999 ")

        await eventually("the last line", last)
        kept = sum(len(line.message) + 1 for line in await runtime.logs(ID, 10_000))
        assert kept <= (log.size + ROUND) * log.files  # of 1.3 MB written

    async def test_there_is_no_log_of_what_is_not_there(self, runtime: Runtime) -> None:
        with pytest.raises(NotFound):
            await runtime.logs(ID)
        with pytest.raises(NotFound):
            async with aclosing(runtime.follow(ID)) as following:
                await anext(following)
        with pytest.raises(NotFound):
            await runtime.metrics(ID)

    async def test_it_is_measured_with_all_that_it_has_started(self, runtime: Runtime) -> None:
        script = "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo > spun; exec sleep 1000' & wait"
        await runtime.ensure(self.service(script))
        await content(await runtime.directory(ID) / "spun")
        measured = await runtime.metrics(ID)
        assert measured.cpu_seconds > 0.02
        assert measured.memory_bytes > 10_000
        assert measured.uptime_seconds > 0
        assert measured.restarts == 0

    async def test_one_that_does_not_run_uses_nothing(self, runtime: Runtime) -> None:
        await runtime.ensure(self.service())
        await runtime.stop(ID)
        measured = await runtime.metrics(ID)
        assert (measured.memory_bytes, measured.uptime_seconds) == (0, 0.0)

    async def test_each_limit_that_is_set_says_how_it_is_kept(self, runtime: Runtime) -> None:
        status = await runtime.ensure(self.service(limits=Limits(cpu=0.5, memory=64 << 20, open_files=100)))
        assert status.limits.keys() == {"cpu", "memory", "open_files"}
        assert set(status.limits.values()) <= {"cgroup", "rlimit", "nice", "none"}

    async def test_its_open_files_are_limited(self, runtime: Runtime) -> None:
        await runtime.ensure(self.service(f"ulimit -n > seen; {IDLE}", limits=Limits(open_files=100)))
        assert await content(await runtime.directory(ID) / "seen") == "100\n"

    async def test_a_signal_reaches_it(self, runtime: Runtime) -> None:
        await runtime.ensure(self.service(f"trap 'echo told > told' HUP; echo > set; {IDLE}"))
        await content(await runtime.directory(ID) / "set")
        await runtime.signal(ID, "HUP")
        assert await content(await runtime.directory(ID) / "told") == "told\n"

    async def test_a_signal_to_what_does_not_run_is_an_error(self, runtime: Runtime) -> None:
        with pytest.raises(NotFound):
            await runtime.signal(ID, "HUP")


async def _messages(runtime: Runtime, count: int) -> list[str]:
    found = [line.message for line in await runtime.logs(ID)]
    return found if len(found) >= count else []
