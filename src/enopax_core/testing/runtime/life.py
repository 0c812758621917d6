"""Services come and go, and nothing runs twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from enopax_core.errors import ServiceFailed
from enopax_core.runtime import Probe, Runtime, State, Stop
from enopax_core.testing.runtime.base import ID, IDLE, PATIENCE, RuntimeKit, clear, content, eventually, written

COUNTED = f"echo started >> count; {IDLE}"
UNTIL_TOLD = "sleep 1.5; while [ ! -e end ]; do sleep 0.1; done"
"""A script that has come up by any runtime's measure, and ends when it is told to: no sooner than somebody has seen it."""


class Life(RuntimeKit):
    """Start, change, stop, remove; and what happens to services when something else ends."""

    async def test_an_ensured_service_runs(self, runtime: Runtime) -> None:
        status = await runtime.ensure(self.service())
        assert (status.state, status.ready, status.restarts) == (State.RUNNING, True, 0)
        assert status == replace(await runtime.status(ID), message=status.message)

    async def test_ensuring_it_again_leaves_it_alone(self, runtime: Runtime) -> None:
        first = await runtime.ensure(self.service())
        again = await runtime.ensure(self.service())
        assert (again.pid, again.started_at) == (first.pid, first.started_at)

    async def test_many_who_ensure_it_at_once_start_it_once(self, runtime: Runtime) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(runtime.ensure, self.service(COUNTED))
        assert await content(await runtime.directory(ID) / "count") == "started\n"

    async def test_a_changed_description_restarts_it(self, runtime: Runtime) -> None:
        script = f"echo $COLOUR >> seen; {IDLE}"
        await runtime.ensure(self.service(script, environment={"COLOUR": "red"}))
        seen = await runtime.directory(ID) / "seen"
        assert await content(seen) == "red\n"
        await runtime.ensure(self.service(script, environment={"COLOUR": "blue"}))
        await eventually("it is restarted with blue", lambda: _is(seen, "red\nblue\n"))

    async def test_serving_another_resource_restarts_nothing(self, runtime: Runtime) -> None:
        spare = self.service(resource=None)
        first = await runtime.ensure(spare)
        assert [known.resource for known in await runtime.services()] == [None]
        second = await runtime.ensure(replace(spare, resource="somebody-k3"))
        assert [known.resource for known in await runtime.services()] == ["somebody-k3"]
        assert (second.pid, second.started_at) == (first.pid, first.started_at)

    async def test_a_stopped_service_stays_ended_and_known_with_its_directory(self, runtime: Runtime) -> None:
        await runtime.ensure(self.service(COUNTED))
        await content(await runtime.directory(ID) / "count")
        await runtime.stop(ID)
        assert (await runtime.status(ID)).state is State.STOPPED
        (known,) = await runtime.services()
        assert (known.id, known.defined, known.directory, known.process) == (ID, True, True, False)
        assert await content(await runtime.directory(ID) / "count") == "started\n"

    async def test_a_stopped_service_runs_again_once_it_is_ensured(self, runtime: Runtime) -> None:
        await runtime.ensure(self.service())
        await runtime.stop(ID)
        assert (await runtime.ensure(self.service())).ready

    async def test_a_removed_service_leaves_nothing(self, runtime: Runtime) -> None:
        await runtime.ensure(self.service())
        directory = await runtime.directory(ID)
        await runtime.remove(ID)
        assert (await runtime.status(ID)).state is State.MISSING
        assert not directory.exists()
        assert list(await runtime.services()) == []

    async def test_a_directory_without_a_service_is_known_and_removed(self, runtime: Runtime) -> None:
        await runtime.directory(ID)
        (known,) = await runtime.services()
        assert (known.id, known.defined, known.directory, known.process) == (ID, False, True, False)
        await runtime.remove(ID)
        assert list(await runtime.services()) == []

    async def test_stopping_and_removing_what_is_not_there_is_no_error(self, runtime: Runtime) -> None:
        for _ in range(2):
            await runtime.stop(ID)
            await runtime.remove(ID)

    async def test_a_service_is_asked_to_end_by_its_own_signal(self, runtime: Runtime) -> None:
        script = "trap 'echo asked > asked; exit 0' INT; trap 'echo wrong > asked; exit 0' TERM; "
        await runtime.ensure(self.service(f"{script} while :; do sleep 0.1 & wait $!; done", stop=Stop(signal="INT")))
        await runtime.stop(ID)
        assert await content(await runtime.directory(ID) / "asked") == "asked\n"

    async def test_a_service_that_does_not_end_when_asked_is_killed(self, runtime: Runtime) -> None:
        stop = Stop(seconds=0.5)
        await runtime.ensure(self.service("trap '' TERM; while :; do sleep 0.1; done", stop=stop))
        await runtime.stop(ID)
        assert not (await runtime.services())[0].process

    async def test_what_a_service_has_started_ends_with_it(self, runtime: Runtime) -> None:
        script = "sh -c 'trap \"\" TERM; while :; do date +%s%N > beat; sleep 0.05; done' & exec sleep 1000"
        await runtime.ensure(self.service(script, stop=Stop(seconds=1)))
        beat = await runtime.directory(ID) / "beat"
        await content(beat)
        await runtime.stop(ID)
        last = beat.read_text()
        await anyio.sleep(0.3)  # six beats: it is seen that there is none
        assert beat.read_text() == last

    async def test_a_service_that_ends_is_started_again(self, runtime: Runtime) -> None:
        await runtime.ensure(self.service(f"echo started >> count; [ -e stay ] && {{ {IDLE}; }}; {UNTIL_TOLD}; touch stay"))
        directory = await runtime.directory(ID)
        (directory / "end").touch()
        await eventually("it is started again", lambda: _is(directory / "count", "started\nstarted\n"))
        status = await eventually("it runs", lambda: _ready(runtime))
        assert status
        assert (await runtime.status(ID)).restarts == 1

    async def test_one_that_may_end_with_success_is_not_started_again(self, runtime: Runtime) -> None:
        await runtime.ensure(self.service(f"echo started >> count; {UNTIL_TOLD}", restart="on-failure"))
        (await runtime.directory(ID) / "end").touch()
        await eventually("it has ended", lambda: _stopped(runtime))
        assert (await runtime.directory(ID) / "count").read_text() == "started\n"

    async def test_one_that_ends_at_once_again_and_again_has_failed(self, runtime: Runtime) -> None:
        never = Probe(path="never", timeout=2 * PATIENCE)  # a machine under load lets it live for as long as it likes
        with anyio.fail_after(PATIENCE), pytest.raises(ServiceFailed):
            await runtime.ensure(self.service("exit 7", readiness=never))

    async def test_services_do_not_disturb_each_other(self, runtime: Runtime) -> None:
        first = await runtime.ensure(self.service())
        await runtime.ensure(self.service(id="kit-resource-x7.other"))
        await runtime.remove("kit-resource-x7.other")
        assert (await runtime.status(ID)).pid == first.pid
        assert [known.id for known in await runtime.services()] == [ID]

    async def test_a_service_outlives_the_server_and_is_found_again(self, data_dir: Path) -> None:
        async with self.open(data_dir) as runtime:
            first = await runtime.ensure(self.service())
        async with self.open(data_dir) as runtime:
            try:
                again = await runtime.ensure(self.service())
                assert (again.pid, again.started_at) == (first.pid, first.started_at)
            finally:
                await clear(runtime)

    async def test_what_was_stopped_is_stopped_after_the_server_began_anew(self, data_dir: Path) -> None:
        async with self.open(data_dir) as runtime:
            await runtime.ensure(self.service())
            await runtime.ensure(self.service(id="kit-resource-x7.other"))
            await runtime.stop(ID)
        async with self.open(data_dir) as runtime:
            try:
                await runtime.ensure(self.service(id="kit-resource-x7.other"))
                assert (await runtime.status(ID)).state is State.STOPPED
            finally:
                await clear(runtime)


async def _is(path: Path, text: str) -> bool:
    return written(path) == text


async def _ready(runtime: Runtime) -> bool:
    return (await runtime.status(ID)).ready


async def _stopped(runtime: Runtime) -> bool:
    return (await runtime.status(ID)).state is State.STOPPED
