"""Backups of an open installation, and restoring them: what is promised to plugins, operators and operations."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.integration.conftest import ASYNC, Hands, House, opened
from tests.integration.shelf import Shelf, Workshop

from enopax_core import Core, Host, Settings, hookimpl
from enopax_core.core import restoring
from enopax_core.core.archive import Header, pack, unpack
from enopax_core.core.backups import LAST, STAGING
from enopax_core.core.restoring import UNFINISHED, restore
from enopax_core.engine import engine
from enopax_core.errors import BackupRefused, DataDirectoryInUse, TemporaryError
from enopax_core.registry import Problem

pytestmark = pytest.mark.anyio


class Attic:
    """A plugin that keeps a file outside the ledger; `during` is called while its part is copied."""

    def __init__(self) -> None:
        self.during: Callable[[], None] = lambda: None

    @hookimpl
    def enopax_backup(self, host: Host, folder: Path) -> None:
        self.during()
        if (host.data_dir / "attic").exists():
            shutil.copy2(host.data_dir / "attic", folder)

    @hookimpl
    def enopax_restore(self, host: Host, folder: Path) -> None:
        self.during()
        (folder / "attic").rename(host.data_dir / "attic")


@pytest.fixture
def attic(data_dir: Path) -> Attic:
    """The plugin, with something in its keeping."""
    data_dir.mkdir()
    (data_dir / "attic").write_text("a trunk")
    return Attic()


@pytest.fixture
async def furnished(data_dir: Path, attic: Attic) -> AsyncIterator[House]:
    """An open core with the plugin."""
    async with opened(data_dir, attic) as house:
        yield house


async def backed_up(house: House) -> bytes:
    """The archive, as a client gets it."""
    answer = await house.owner.post("/v1/admin/backup")
    assert answer.status_code == 200, answer.text
    return answer.content


def opening(attic: Attic | None, target: Path) -> Callable[[Path], restoring.Plugins]:
    """The plugins that are installed where a backup is restored."""

    def plugins(_: Path) -> restoring.Plugins:
        core = Core(Settings(data_dir=target), plugins=[Shelf(Workshop()), *([attic] if attic else [])])
        return core.registry, core.governors

    return plugins


async def restored(content: bytes, target: Path, attic: Attic | None) -> Header:
    """Restore an archive onto a directory."""
    file = target.with_name(f"{target.name}.tar")
    file.write_bytes(content)  # small
    return await restore(file, target, opening(attic, target))


def names(folder: Path) -> set[str]:
    """What lies in a directory, but for its lock."""
    return {path.name for path in folder.iterdir()} - {"lock"}


# ── What comes back ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_restored_installation_goes_on_where_the_other_was(furnished: House, attic: Attic, tmp_path: Path) -> None:
    made = await furnished.make("one")
    kept = await furnished.get(f"/v1/shelf/{made['id']}")
    secrets = await furnished.get(f"/v1/shelf/{made['id']}/credentials")
    content = await backed_up(furnished)
    await restored(content, tmp_path / "new", attic)
    async with opened(tmp_path / "new", attic, workshop=furnished.workshop) as house:
        assert house.core.owner_key_file.read_text() == furnished.core.owner_key_file.read_text()
        assert await house.get(f"/v1/shelf/{made['id']}") == kept
        assert await house.get(f"/v1/shelf/{made['id']}/credentials") == secrets
        assert (await house.get("/v1/admin/audit/verify"))["intact"]
        assert (tmp_path / "new/attic").read_text() == "a trunk"


async def test_the_settings_file_comes_along(furnished: House, attic: Attic, tmp_path: Path) -> None:
    (furnished.core.settings.data_dir / "enopax.toml").write_text("workers = 3\n")
    await restored(await backed_up(furnished), tmp_path / "new", attic)
    assert (tmp_path / "new/enopax.toml").read_text() == "workers = 3\n"


async def test_the_restored_files_are_readable_by_their_owner_alone(furnished: House, attic: Attic, tmp_path: Path) -> None:
    await restored(await backed_up(furnished), tmp_path / "new", attic)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "new").glob("*.*")}
    assert modes == {"vault.keys": 0o600, "owner.key": 0o600, "ledger.sqlite3": 0o600}
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


async def test_an_operation_that_waited_is_done_by_the_restored_installation(
    furnished: House, attic: Attic, tmp_path: Path
) -> None:
    made = await furnished.make("one")
    furnished.workshop.failures["update"].append(TemporaryError(retry_after=timedelta(hours=1)))
    answer = await furnished.owner.put(f"/v1/shelf/{made['id']}", json={"boards": 5}, headers=ASYNC)
    await furnished.until(lambda: furnished.workshop.called("update"))
    content = await backed_up(furnished)
    await restored(content, tmp_path / "new", attic)
    hands = Hands()
    hands.move(hours=2)
    async with opened(tmp_path / "new", attic, workshop=furnished.workshop, hands=hands) as house:
        assert (await house.ended(answer.json()["operation"])).state.value == "succeeded"


# ── What the archive says ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_backup_is_audited_and_anchors_the_audit_log(furnished: House) -> None:
    await furnished.make("one")
    header = unpack(io.BytesIO(await backed_up(furnished)))
    lines = [json.loads(line) for line in (await furnished.owner.get("/v1/admin/audit")).text.splitlines()]
    assert [line["action"] for line in lines] == ["provision", "backup"]
    assert header.anchor == f"2:{lines[-1]['hash']}"


async def test_it_names_the_plugins_that_added_nothing(furnished: House) -> None:
    header = unpack(io.BytesIO(await backed_up(furnished)))
    assert {name: plugin.data for name, plugin in header.plugins.items()} == {"Attic": True, "Shelf": False, "Stool": False}


async def test_when_the_last_one_was_handed_out_is_remembered(furnished: House) -> None:
    header = unpack(io.BytesIO(await backed_up(furnished)))
    assert (furnished.core.settings.data_dir / LAST).read_text() == header.created_at + "\n"


async def test_the_copies_are_gone_afterwards(furnished: House) -> None:
    await backed_up(furnished)
    assert not (furnished.core.settings.data_dir / STAGING).exists()


async def test_what_a_killed_backup_left_is_cleared_at_the_next_start(data_dir: Path) -> None:
    (data_dir / STAGING / "plugins/git").mkdir(parents=True)
    async with opened(data_dir):
        assert not (data_dir / STAGING).exists()


async def test_a_client_that_leaves_early_leaves_nothing_behind(furnished: House) -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False} if not sent else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    key = furnished.core.owner_key_file.read_text().strip().encode()
    scope = {
        **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http"},
        **{"path": "/v1/admin/backup", "raw_path": b"/v1/admin/backup", "query_string": b"", "root_path": ""},
        **{"headers": [(b"x-api-key", key)], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1)},
    }
    await furnished.app(scope, receive, send)  # type: ignore[arg-type]  # a scope is any mapping
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert names(furnished.core.settings.data_dir) & {STAGING, LAST} == set()


# ── While others work ─────────────────────────────────────────────────────────────────────────────────────────────────


class Hold:
    """Keeps a backup in the middle of its copying."""

    def __init__(self, attic: Attic) -> None:
        self._reached, self._let_go = anyio.Event(), anyio.Event()
        attic.during = self._wait

    def _wait(self) -> None:
        anyio.from_thread.run_sync(self._reached.set)
        anyio.from_thread.run(self._let_go.wait)

    @contextlib.asynccontextmanager
    async def backing_up(self, house: House) -> AsyncIterator[list[bytes]]:
        """Inside the block the backup stands still; behind it there is the archive."""
        content: list[bytes] = []

        async def run() -> None:
            content.append(await backed_up(house))

        async with anyio.create_task_group() as group:
            group.start_soon(run)
            await self._reached.wait()
            yield content
            self._let_go.set()


async def state(house: House, operation: str) -> str:
    """State of an operation."""
    return str((await house.get(f"/v1/operations/{operation}"))["state"])


@pytest.mark.parametrize("action", ["update", "delete", "purge", "rotate"])
async def test_nothing_that_exists_changes_while_it_is_copied(furnished: House, attic: Attic, action: str) -> None:
    made = await furnished.make("one")
    path = f"/v1/shelf/{made['id']}"
    requests: dict[str, tuple[str, str, Any]] = {
        "update": ("PUT", path, {"boards": 5}),
        "delete": ("DELETE", path, None),
        "purge": ("DELETE", f"{path}?purge=true", None),
        "rotate": ("POST", f"{path}/credentials/rotate", None),
    }
    method, url, body = requests[action]
    async with Hold(attic).backing_up(furnished):
        answer = await furnished.owner.request(method, url, json=body, headers=ASYNC)
        assert answer.status_code == 202, answer.text
        operation = answer.json()["operation"]
        await furnished.make("two")  # what only adds goes on, and has ended by now
        assert await state(furnished, operation) == "queued"
    assert (await furnished.ended(operation)).state.value == "succeeded"


async def test_what_runs_is_waited_for_before_anything_is_copied(furnished: House, attic: Attic) -> None:
    made = await furnished.make("one")
    gate = furnished.workshop.close("update")
    operation = (await furnished.owner.put(f"/v1/shelf/{made['id']}", json={"boards": 5}, headers=ASYNC)).json()["operation"]
    await furnished.workshop.entered["update"].wait()
    attic.during = lambda: seen.append(anyio.from_thread.run(state, furnished, operation))
    seen: list[str] = []
    async with anyio.create_task_group() as group:
        group.start_soon(backed_up, furnished)
        await anyio.wait_all_tasks_blocked()
        gate.set()
    assert seen == ["succeeded"]


async def test_an_operation_that_does_not_end_refuses_the_backup_and_is_named(
    furnished: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "QUIET_SECONDS", 0.0)
    made = await furnished.make("one")
    gate = furnished.workshop.close("update")
    operation = (await furnished.owner.put(f"/v1/shelf/{made['id']}", json={"boards": 5}, headers=ASYNC)).json()["operation"]
    await furnished.workshop.entered["update"].wait()
    answer = await furnished.owner.post("/v1/admin/backup")
    gate.set()
    assert answer.status_code == 503
    assert operation in answer.json()["error"]
    await furnished.ended(operation)
    assert (await furnished.owner.delete(f"/v1/shelf/{made['id']}")).status_code == 200  # operations go on


async def test_only_one_is_made_at_a_time(furnished: House, attic: Attic) -> None:
    async with Hold(attic).backing_up(furnished):
        answer = await furnished.owner.post("/v1/admin/backup")
        assert (answer.status_code, "being made" in answer.json()["error"]) == (409, True)


async def test_a_plugin_that_fails_fails_the_backup(furnished: House, attic: Attic) -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    attic.during = fail
    answer = await furnished.owner.post("/v1/admin/backup")
    assert (answer.status_code, "Attic" in answer.json()["error"]) == (503, True)
    assert not (furnished.core.settings.data_dir / STAGING).exists()
    attic.during = lambda: None
    await backed_up(furnished)


async def test_a_plugin_that_cannot_be_loaded_refuses_it(furnished: House) -> None:
    furnished.core.registry.problems.append(Problem(plugin="broken", message="…"))
    answer = await furnished.owner.post("/v1/admin/backup")
    assert (answer.status_code, "broken" in answer.json()["error"]) == (409, True)


async def test_the_owner_of_an_organisation_may_not_make_one(furnished: House) -> None:
    await furnished.make("one")
    assert (await (await furnished.key("owner")).post("/v1/admin/backup")).status_code == 403


# ── At rest ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_installation_that_nobody_runs_is_backed_up_too(data_dir: Path, attic: Attic, tmp_path: Path) -> None:
    async with opened(data_dir, attic) as house:
        made = await house.make("one")
    core = Core(Settings(data_dir=data_dir), plugins=[Shelf(Workshop()), attic])
    async with core.backup_at_rest() as backup:
        content = b"".join(backup.packed())
    await restored(content, tmp_path / "new", attic)
    async with opened(tmp_path / "new", attic) as house:
        assert (await house.get(f"/v1/shelf/{made['id']}"))["name"] == "one"


async def test_one_that_somebody_runs_is_not_backed_up_behind_its_back(furnished: House) -> None:
    core = Core(furnished.core.settings, plugins=())
    with pytest.raises(DataDirectoryInUse):
        async with core.backup_at_rest():
            pass


# ── Where it is not restored ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_directory_with_anything_in_it_is_refused_and_stays_as_it_is(furnished: House, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new/precious").touch()
    with pytest.raises(BackupRefused, match=r"is not empty \(precious\)"):
        await restored(await backed_up(furnished), tmp_path / "new", Attic())
    assert names(tmp_path / "new") == {"precious"}


async def test_a_running_installation_is_refused(furnished: House, attic: Attic) -> None:
    with pytest.raises(DataDirectoryInUse):
        await restored(await backed_up(furnished), furnished.core.settings.data_dir, attic)


async def changed(content: bytes, tmp_path: Path, **header: Any) -> bytes:
    """The same backup with another header."""
    (tmp_path / "changed").mkdir()
    found = unpack(io.BytesIO(content), tmp_path / "changed")
    return b"".join(pack(tmp_path / "changed", replace(found, **header)))


async def test_a_backup_of_a_newer_version_is_refused(furnished: House, attic: Attic, tmp_path: Path) -> None:
    content = await changed(await backed_up(furnished), tmp_path, version="99.1")
    with pytest.raises(BackupRefused, match=r"written by Enopax 99\.1, and [0-9.]+ is installed: upgrade first"):
        await restored(content, tmp_path / "new", attic)
    assert names(tmp_path / "new") == set()


async def test_data_of_a_plugin_that_is_not_there_is_not_left_behind(furnished: House, tmp_path: Path) -> None:
    with pytest.raises(BackupRefused, match="holds data of the plugin Attic, which is not there"):
        await restored(await backed_up(furnished), tmp_path / "new", None)
    assert names(tmp_path / "new") == set()


async def test_a_plugin_that_fails_leaves_the_directory_empty(furnished: House, attic: Attic, tmp_path: Path) -> None:
    def fail() -> None:
        (tmp_path / "new/half").touch()
        raise OSError(28, "No space left on device")

    content = await backed_up(furnished)
    attic.during = fail
    with pytest.raises(BackupRefused, match="The plugin Attic could not take its data back"):
        await restored(content, tmp_path / "new", attic)
    assert names(tmp_path / "new") == set()


async def test_a_damaged_one_leaves_the_directory_empty(furnished: House, attic: Attic, tmp_path: Path) -> None:
    content = await backed_up(furnished)
    with pytest.raises(BackupRefused):
        await restored(content[: len(content) // 2], tmp_path / "new", attic)
    assert names(tmp_path / "new") == set()


class Killed(BaseException):
    """What a test raises where a process would be gone."""


@contextlib.contextmanager
def killed(step: str) -> Iterator[None]:
    """Inside the block, restoring breaks off at one of its functions, without any clearing up."""

    def die(*_: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restoring, step, die)
        patch.setattr(restoring, "_empty", lambda _: None)
        with pytest.raises(Killed):
            yield


@pytest.mark.parametrize("step", ["refuse_missing", "_give_back", "_put_in_place", "_finish"])
async def test_one_that_was_killed_is_not_opened_and_begins_anew(
    furnished: House, attic: Attic, tmp_path: Path, step: str
) -> None:
    content = await backed_up(furnished)
    with killed(step):
        await restored(content, tmp_path / "new", attic)
    assert UNFINISHED in names(tmp_path / "new")
    with pytest.raises(BackupRefused, match="not restored to the end"):
        async with Core(Settings(data_dir=tmp_path / "new"), plugins=()):
            pass
    await restored(content, tmp_path / "new", attic)
    assert names(tmp_path / "new") == {"attic", "ledger.sqlite3", "owner.key", "vault.keys"}
