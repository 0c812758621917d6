"""Commands that run to their end as a service would."""

from __future__ import annotations

import anyio
import pytest

from enopax_core.errors import NotFound
from enopax_core.runtime import File, Runtime
from enopax_core.testing.runtime.base import ID, RuntimeKit, written


class Commands(RuntimeKit):
    """`run`."""

    async def test_a_command_gives_status_output_and_errors(self, runtime: Runtime) -> None:
        ended = await runtime.run(self.service(), ["sh", "-c", "echo out; echo err >&2; exit 3"])
        assert (ended.status, ended.output, ended.errors) == (3, b"out\n", b"err\n")

    async def test_a_command_reads_its_input(self, runtime: Runtime) -> None:
        text = b"line\n" * 50_000
        assert (await runtime.run(self.service(), ["cat"], input=text)).output == text

    async def test_what_a_command_writes_is_taken_as_it_comes(self, runtime: Runtime) -> None:
        seen = bytearray()
        script = "echo one; while [ ! -e go ]; do sleep 0.05; done; head -c 300000 /dev/zero"
        directory = await runtime.directory(ID)

        async def take(piece: bytes) -> None:
            seen.extend(piece)
            if not (directory / "go").exists():
                await runtime.write(ID, {"go": File(content=b"")})

        ended = await runtime.run(self.service(), ["sh", "-c", script], output=take)
        assert (ended.status, ended.output, bytes(seen)) == (0, b"", b"one\n" + bytes(300_000))

    async def test_a_command_ends_with_whoever_takes_what_it_writes(self, runtime: Runtime) -> None:
        async def refuse(piece: bytes) -> None:
            raise NotFound(piece.decode())

        with pytest.raises(NotFound, match="one"):
            await runtime.run(self.service(), ["sh", "-c", "echo one; sleep 1000"], output=refuse)

    async def test_a_command_has_the_services_directory_files_and_environment(self, runtime: Runtime) -> None:
        service = self.service(files={"conf": File(content=b"colour\n")}, environment={"COLOUR": "red"})
        script = "pwd; cat conf; echo $COLOUR $MORE"
        ended = await runtime.run(service, ["sh", "-c", script], environment={"MORE": "blue"})
        assert ended.output.decode() == f"{await runtime.directory(ID)}\ncolour\nred blue\n"

    async def test_a_command_runs_as_the_services_user(self, runtime: Runtime) -> None:
        await runtime.run(self.service(), ["sh", "-c", "echo > mine"])
        directory = await runtime.directory(ID)
        assert (directory / "mine").stat().st_uid == directory.stat().st_uid

    async def test_a_command_works_beside_the_running_service(self, runtime: Runtime) -> None:
        await runtime.ensure(self.service())
        ended = await runtime.run(self.service(), ["sh", "-c", "echo beside"])
        assert ended.output == b"beside\n"

    async def test_a_command_that_takes_too_long_is_ended_with_all_it_has_started(self, runtime: Runtime) -> None:
        script = "(while :; do date +%s%N >> beat; sleep 0.05; done) & sleep 1000"
        beat = await runtime.directory(ID) / "beat"
        for timeout in (1.5, 15, 60):  # the longer ones where the machine is so slow that it had not begun
            with pytest.raises(TimeoutError):
                await runtime.run(self.service(), ["sh", "-c", script], timeout=timeout)
            if written(beat):
                break
        last = written(beat)
        assert last
        await anyio.sleep(0.3)  # six beats: it is seen that there is none
        assert written(beat) == last

    async def test_a_command_that_is_not_there_is_named(self, runtime: Runtime) -> None:
        with pytest.raises(NotFound) as caught:
            await runtime.run(self.service(), ["no-such-program"])
        assert "no-such-program" in caught.value.message
