"""What an earlier version wrote is taken over by this one, with everything in it."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from tests.acceptance import upgrade
from tests.acceptance.gitkit import Person
from tests.acceptance.test_backup import enopax
from tests.acceptance.upgrade import CALM, KEYED, Installation

pytestmark = pytest.mark.timeout(300)
KEPT = sorted((Path(__file__).parents[1] / "fixtures").glob("*.tar.gz"))
LARGEST = 200_000  # bytes of a kept installation: it stays in everybody's clone for ever
STATES = {
    "calm": "active",
    "degraded": "degraded",
    "maintenance": "maintenance",
    "suspended": "suspended",
    "failed": "failed",
    "cancelled": "failed",
    "provisioning": "provisioning",
    "updating": "updating",
    "deleting": "deleting",
}


class Taken:
    """An installation that this version has opened, with what the one that wrote it knew of it."""

    def __init__(self, installation: Installation, known: Any, data_dir: Path) -> None:
        self.installation, self.known, self.data_dir = installation, known, data_dir
        self.ask, self.client = installation.ask, installation.client
        self.said: dict[str, Any] = {}
        self.moods: dict[str, str] = {}

    async def look(self) -> None:
        """Before any test changes anything."""
        self.said = await upgrade.said(self.installation)
        self.moods = await self.installation.listed("mood")

    async def until(self, mood: str, status: str) -> None:
        """Wait until the resource of a state is in another."""
        await self.installation.becomes(f"/mood/{self.moods[mood]}", lambda one: one["status"] == status)


@pytest.fixture(scope="module", params=["this version", *KEPT], ids=lambda one: getattr(one, "name", one))
async def taken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Taken]:
    """An installation that a version wrote: this one, or one whose fixture was kept."""
    folder = tmp_path_factory.mktemp("upgrade")
    backup = request.param if isinstance(request.param, Path) else (await upgrade.write(folder))[0]
    (folder / "backup.tar").write_bytes(gzip.decompress(backup.read_bytes()))
    known = json.loads(upgrade.notes_of(backup).read_text("utf-8"))
    restore = partial(enopax, "restore-backup", folder / "backup.tar", "--data-dir", folder / "data")
    await anyio.to_thread.run_sync(restore)
    async with upgrade.opened(folder / "data", since=upgrade.soon_after(known)) as installation:
        found = Taken(installation, known, folder / "data")
        await found.look()
        yield found


@pytest.mark.anyio
async def test_everything_that_was_said_of_it_is_still_said(taken: Taken) -> None:
    assert len(taken.known["answers"]) > 10
    assert upgrade.differences(taken.known["answers"], taken.said) == []


@pytest.mark.anyio
async def test_every_state_is_still_what_it_was(taken: Taken) -> None:
    answers = {name: await taken.ask("GET", f"/mood/{id}") for name, id in taken.moods.items()}
    assert {name: answer["status"] for name, answer in answers.items()} == STATES


@pytest.mark.anyio
async def test_people_s_keys_open_and_revoked_ones_do_not(taken: Taken) -> None:
    statuses = {}
    for name, key in taken.known["keys"].items():
        answer = await taken.client.get("/v1/mood", params=upgrade.WHERE, headers={"X-API-Key": key})
        statuses[name] = answer.status_code
    assert statuses == {"bot": 200, "revoked": 401}


@pytest.mark.anyio
async def test_a_request_that_was_answered_is_answered_the_same_again(taken: Taken) -> None:
    again = await taken.ask("POST", "/mood", CALM, headers=KEYED)
    credentials = await taken.ask("GET", f"/mood/{taken.moods['calm']}/credentials")
    assert (again["id"], again["credentials"]) == (taken.moods["calm"], credentials["credentials"])


@pytest.mark.anyio
async def test_the_audit_log_leads_on_from_where_it_was(taken: Taken) -> None:
    found = await taken.ask("GET", "/admin/audit/verify", params={"anchor": taken.known["anchor"]})
    assert found["intact"]


@pytest.mark.anyio
async def test_a_hold_can_be_released(taken: Taken) -> None:
    await taken.installation.core.host.resources.release(taken.moods["suspended"], "overdue")
    await taken.until("suspended", "active")


@pytest.mark.anyio
async def test_a_repository_is_pushed_to_on_top_of_what_it_held(taken: Taken, tmp_path: Path) -> None:
    code = (await taken.installation.listed("git-repo"))["code"]
    bob = await anyio.to_thread.run_sync(Person, tmp_path / "bob")
    changed = await taken.ask("PUT", f"/git-repo/{code}", {"sshKeys": [bob.public_key]})

    def push() -> int:
        bob.git("clone", "--quiet", changed["connection"]["ssh"], "code")
        bob.commit(bob.home / "code", {"more": "Hello again.\n"})
        bob.git("push", "--quiet", cwd=bob.home / "code")
        return len(bob.git("log", "--format=%H", "origin/main", cwd=bob.home / "code").stdout.split())

    assert await anyio.to_thread.run_sync(push) == 2


@pytest.mark.anyio
async def test_a_deleted_repository_is_restored(taken: Taken) -> None:
    gone = (await taken.installation.listed("git-repo", status="deleted"))["gone"]
    assert (await taken.ask("POST", f"/git-repo/{gone}/restore"))["success"]
    assert (await taken.ask("GET", f"/git-repo/{gone}"))["status"] == "active"


@pytest.mark.anyio
async def test_work_that_waited_is_done(taken: Taken) -> None:
    await anyio.Path(taken.data_dir / "script/data/mood/go").touch()
    taken.installation.clock.ahead += timedelta(hours=2)
    for name, status in {"provisioning": "active", "updating": "active", "deleting": "deleted"}.items():
        await taken.until(name, status)


@pytest.mark.parametrize("backup", KEPT, ids=lambda path: path.name)
def test_what_is_kept_is_small(backup: Path) -> None:
    assert backup.stat().st_size + upgrade.notes_of(backup).stat().st_size < LARGEST
