"""A script and all that it has started end together: with it, with its time, with the server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from enopax_core.provider import Json, Outcome, Provider
from enopax_core.testing import Scenario
from enopax_core.testing.handle import Handle
from enopax_script.runs import VARIABLE, Runs

pytestmark = pytest.mark.anyio
CHILD = """sleep 600 & echo $! >"$DATA/child.new"; mv "$DATA/child.new" "$DATA/child"; """


async def provision(provider: Provider[Json], operation: Handle) -> None:
    """Call the hook as the engine does."""
    called = provider.provision(operation, Scenario(provider).new())
    assert not isinstance(called, Outcome)
    await called


async def until(condition: Callable[[], bool]) -> None:
    """Look until something has come about; a test in which it never does fails."""
    with anyio.fail_after(60):
        while not condition():  # noqa: ASYNC110  # processes tell nobody
            await anyio.sleep(0.01)


async def gone(pid: int) -> None:
    """Wait until a process has ended: a test of it hangs otherwise, and says so."""

    def ended() -> bool:
        try:
            return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return True

    await until(ended)


async def written(file: Path) -> int:
    """Wait until a script has written a process id."""
    await until(file.exists)
    return int(file.read_text())  # noqa: ASYNC240  # a few bytes


async def test_what_a_script_leaves_in_its_group_ends_with_it(thing: Callable[..., Provider[Json]], tmp_path: Path) -> None:
    made = Scenario(thing(provision=CHILD))
    await made.run("provision", made.new())
    await gone(await written(tmp_path / "data/child"))


async def test_what_a_script_puts_into_a_session_of_its_own_stays(thing: Callable[..., Provider[Json]], tmp_path: Path) -> None:
    made = Scenario(thing(provision="""setsid sleep 600 >/dev/null 2>&1 & echo $! >"$DATA/child" """))
    await made.run("provision", made.new())
    pid = await written(tmp_path / "data/child")
    await Runs(tmp_path / "runs").end_leftovers()
    os.kill(pid, signal.SIGTERM)  # raises if it is gone


async def test_a_cancelled_script_ends_with_its_group_and_may_clean_up_first(
    thing: Callable[..., Provider[Json]], tmp_path: Path
) -> None:
    provider = thing(provision=f"""trap 'touch "$DATA/tidied"; exit' TERM; {CHILD} wait""")
    async with anyio.create_task_group() as group:
        group.start_soon(provision, provider, Handle())
        pid = await written(tmp_path / "data/child")
        group.cancel_scope.cancel()
    await gone(pid)
    assert (tmp_path / "data/tidied").exists()
    assert list((tmp_path / "runs").iterdir()) == []


async def test_a_script_cancelled_while_it_is_started_ends_with_its_group(
    thing: Callable[..., Provider[Json]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, go_on = anyio.open_process, anyio.Event()

    async def slowly(*arguments: Any, **named: Any) -> Any:
        process = await real(*arguments, **named)
        await go_on.wait()
        return process

    monkeypatch.setattr(anyio, "open_process", slowly)
    async with anyio.create_task_group() as group:
        group.start_soon(provision, thing(provision=f"{CHILD} wait"), Handle())
        pid = await written(tmp_path / "data/child")
        group.cancel_scope.cancel()
        go_on.set()
    await gone(pid)


async def test_a_script_that_reports_progress_hears_of_a_cancellation_so(
    thing: Callable[..., Provider[Json]], tmp_path: Path
) -> None:
    provider = thing(provision=f"{CHILD} echo progress verify; wait")
    operation = Handle()
    operation.cancelled = True
    with pytest.raises(Exception, match="cancelled"):
        await provision(provider, operation)
    await gone(await written(tmp_path / "data/child"))


PROVISION_FOR_EVER = """
import sys, anyio
from pathlib import Path
from enopax_core.testing import Scenario
from enopax_script.folder import open_folder
from enopax_script.provider import provider_of
from enopax_script.runs import Runs

home = Path(sys.argv[1])
made = Scenario(provider_of(open_folder(home / "thing"), data=home / "data", runs=Runs(home / "runs")))
anyio.run(made.run, "provision", made.new())
"""


async def test_what_a_killed_server_has_left_running_is_ended_by_the_next_start(
    thing: Callable[..., Provider[Json]], tmp_path: Path
) -> None:
    thing(provision=f"trap '' TERM; {CHILD} wait")
    server = subprocess.Popen([sys.executable, "-c", PROVISION_FOR_EVER, str(tmp_path)])  # noqa: ASYNC220  # to be killed
    child = await written(tmp_path / "data/child")
    server.kill()
    server.wait()
    os.kill(child, 0)  # it goes on without a server
    await Runs(tmp_path / "runs").end_leftovers()
    await gone(child)
    assert list((tmp_path / "runs").iterdir()) == []


async def test_a_process_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    with runs.recorded():
        other = subprocess.Popen(["sleep", "600"], env={**os.environ, VARIABLE: "other"})  # noqa: ASYNC220
        await runs.end_leftovers()
    assert other.poll() is None
    other.kill()
    other.wait()
