"""What a service finds where it runs: its directory, files, environment and user."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path

import pytest

from enopax_core.errors import PermanentError
from enopax_core.runtime import File, Runtime, Volume
from enopax_core.testing.runtime.base import ID, IDLE, RuntimeKit, content, eventually


class Surroundings(RuntimeKit):
    """Directory, files, environment, volumes, user."""

    async def test_it_starts_in_its_directory_which_is_its_home(self, runtime: Runtime) -> None:
        await runtime.ensure(self.service(f"pwd > where; echo $HOME >> where; {IDLE}"))
        directory = await runtime.directory(ID)
        assert await content(directory / "where") == f"{directory}\n{directory}\n"

    async def test_its_directory_is_its_users_alone(self, runtime: Runtime) -> None:
        assert stat.S_IMODE((await runtime.directory(ID)).stat().st_mode) == 0o700

    async def test_what_it_writes_survives_its_restart(self, runtime: Runtime) -> None:
        await runtime.ensure(self.service(f"echo kept > kept; {IDLE}"))
        await content(await runtime.directory(ID) / "kept")
        await runtime.ensure(self.service(f"cat kept > again; {IDLE}"))
        assert await content(await runtime.directory(ID) / "again") == "kept\n"

    async def test_its_files_are_there_with_their_modes_before_it_starts(self, runtime: Runtime) -> None:
        files = {"conf/main.conf": File(content=b"colour = red\n"), "run.sh": File(content=b"echo ran > ran\n", mode=0o700)}
        await runtime.ensure(self.service(f"cat conf/main.conf > seen; ./run.sh; {IDLE}", files=files))
        directory = await runtime.directory(ID)
        assert await content(directory / "seen") == "colour = red\n"
        assert await content(directory / "ran") == "ran\n"
        assert stat.S_IMODE((directory / "conf/main.conf").stat().st_mode) == 0o600

    async def test_a_changed_file_restarts_it(self, runtime: Runtime) -> None:
        script = f"cat conf >> seen; {IDLE}"
        await runtime.ensure(self.service(script, files={"conf": File(content=b"one\n")}))
        seen = await runtime.directory(ID) / "seen"
        await content(seen)
        await runtime.ensure(self.service(script, files={"conf": File(content=b"two\n")}))

        async def both() -> bool:
            return seen.read_text() == "one\ntwo\n"

        await eventually("it sees the second file", both)

    async def test_a_file_written_beside_it_restarts_nothing(self, runtime: Runtime) -> None:
        first = await runtime.ensure(self.service(f"while [ ! -e late ]; do sleep 0.05; done; cat late > seen; {IDLE}"))
        await runtime.write(ID, {"late": File(content=b"here\n")})
        assert await content(await runtime.directory(ID) / "seen") == "here\n"
        assert (await runtime.status(ID)).pid == first.pid

    async def test_a_link_that_a_service_has_laid_leads_no_file_elsewhere(self, runtime: Runtime, tmp_path: Path) -> None:
        directory, elsewhere = await runtime.directory(ID), tmp_path / "elsewhere"
        elsewhere.mkdir()
        (directory / "conf").symlink_to(elsewhere)
        with pytest.raises(PermanentError):
            await runtime.write(ID, {"conf/main.conf": File(content=b"")})
        assert list(elsewhere.iterdir()) == []

    async def test_nothing_is_written_outside_of_its_directory(self, runtime: Runtime) -> None:
        with pytest.raises(ValueError, match="below"):
            await runtime.write(ID, {"../outside": File(content=b"")})

    async def test_it_inherits_nothing_of_the_servers_environment(
        self, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KIT_SECRET", "hunter2")
        await runtime.ensure(self.service(f"env > seen; echo >> seen; {IDLE}", environment={"COLOUR": "red"}))
        seen = await content(await runtime.directory(ID) / "seen")
        assert "COLOUR=red\n" in seen
        assert "hunter2" not in seen

    async def test_what_its_environment_holds_stands_in_no_process_arguments(self, runtime: Runtime) -> None:
        await runtime.ensure(self.service(environment={"PASSWORD": "swordfish-77"}))
        assert b"swordfish-77" not in _arguments_of_all()

    async def test_it_runs_as_an_unprivileged_user_who_owns_its_directory(self, runtime: Runtime) -> None:
        status = await runtime.ensure(self.service())
        assert status.pid is not None
        owner = (await runtime.directory(ID)).stat().st_uid
        assert _user_ids(status.pid) == {owner}
        assert owner != 0

    async def test_it_works_on_its_volumes(self, runtime: Runtime, data_dir: Path) -> None:
        shared = await runtime.directory("kit-resource-x7.shared")
        await runtime.ensure(self.service(f"echo here > {shared}/seen; {IDLE}", volumes=[Volume(source=shared)]))
        assert await content(shared / "seen") == "here\n"


def _arguments_of_all() -> bytes:
    found = b""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                found += (entry / "cmdline").read_bytes()
    return found


def _user_ids(pid: int) -> set[int]:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Uid:"))
    return {int(id) for id in line.split()[1:]}
