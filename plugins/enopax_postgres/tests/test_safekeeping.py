"""Databases in a backup of the whole installation: made by one server, brought back by another, used by real clients."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import anyio
import psycopg
import pytest
from plugins.enopax_postgres.tests.conftest import PLACE
from psycopg.conninfo import conninfo_to_dict
from tests.acceptance.serverkit import Server, eventually
from tests.acceptance.test_backup import enopax

from enopax_core import Core, Settings

SLOW = 300.0  # seconds until what takes seconds is called missing: a base backup, a recovery
pytestmark = pytest.mark.timeout(900)


def found(server: Server, method: str, path: str, body: Any = None) -> dict[str, Any]:
    """What a server answers; operations are waited for."""
    answer = server.api.request(method, f"/v1/postgres{path}", json=body, headers={"Prefer": "wait=45"})
    assert answer.is_success, answer.text
    content: dict[str, Any] = answer.json()
    return content


def query(database: dict[str, Any], folder: Path, statement: LiteralString) -> list[Any]:
    """Run a statement as the customer does who verifies the server with the authority that came with the credentials."""
    authority = folder / "ca.pem"
    authority.write_text(database["credentials"]["ca"])
    given: dict[str, Any] = {"sslmode": "verify-full", "sslrootcert": str(authority), "autocommit": True, "connect_timeout": 10}
    with psycopg.connect(database["credentials"]["url"], **given) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def active(server: Server, id: str) -> dict[str, Any]:
    """A database that has come up, with its credentials."""
    eventually("the database is up", lambda: found(server, "GET", f"/{id}")["status"] == "active", SLOW)
    return {**found(server, "GET", f"/{id}"), **found(server, "GET", f"/{id}/credentials")}


@contextlib.contextmanager
def installation(data_dir: Path) -> Iterator[Server]:
    """A server; at the end nothing runs that it has started."""
    server = Server(data_dir, ENOPAX_POSTGRES_SPARES="0")
    try:
        yield server.start()
    finally:
        remove(server)


def remove(server: Server) -> None:
    """End a server with all its databases, without a last backup of each."""

    async def services() -> None:
        async with Core(Settings(data_dir=server.data_dir), plugins=()) as core:
            for service in await core.host.runtime.services():
                await core.host.runtime.remove(service.id)

    server.close()
    anyio.run(services)


@dataclass(frozen=True, kw_only=True)
class Story:
    """What became of an installation with a live database and a deleted one."""

    folder: Path
    kept: dict[str, Any]  # as the customer knew it at the time of the backups
    gone: dict[str, Any]
    beside: Server  # brought back from the first backup while the original ran
    alone: Server  # brought back from the second one, made with the server stopped, after the original was removed


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    """Told once."""
    folder = Path(tempfile.mkdtemp(prefix="enopax-keep-"))  # outside of what pytest makes: its parents admit nobody else
    folder.chmod(0o755)
    with contextlib.ExitStack() as stack:
        original = stack.enter_context(installation(folder / "original"))
        kept, gone = (found(original, "POST", "", {"name": name, **PLACE}) for name in ("kept", "gone"))
        query(gone, folder, "CREATE TABLE t AS SELECT 7 AS i")
        found(original, "DELETE", f"/{gone['id']}")
        query(kept, folder, "CREATE TABLE t AS SELECT generate_series(1, 3) AS i")
        enopax("backup", folder / "one.tar", "--data-dir", original.data_dir)
        query(kept, folder, "INSERT INTO t VALUES (4)")
        enopax("restore-backup", folder / "one.tar", "--data-dir", folder / "beside")
        beside = stack.enter_context(installation(folder / "beside"))
        active(beside, kept["id"])

        original.stop()  # the databases go on
        query(kept, folder, "INSERT INTO t VALUES (5)")
        home = original.data_dir / "services" / f"{kept['id']}.postgres"
        os.kill(int((home / "data/postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        enopax("backup", folder / "two.tar", "--data-dir", original.data_dir)
        remove(original)
        enopax("restore-backup", folder / "two.tar", "--data-dir", folder / "alone")
        alone = stack.enter_context(installation(folder / "alone"))
        active(alone, kept["id"])
        yield Story(folder=folder, kept=kept, gone=gone, beside=beside, alone=alone)
    shutil.rmtree(folder)


def test_a_database_comes_up_by_itself_with_what_it_held_when_the_backup_was_made(story: Story) -> None:
    database = active(story.beside, story.kept["id"])
    assert query(database, story.folder, "SELECT i FROM t ORDER BY i") == [(1,), (2,), (3,)]


def test_what_was_committed_last_is_in_a_backup_made_with_everything_down(story: Story) -> None:
    assert query(story.kept, story.folder, "SELECT i FROM t ORDER BY i") == [(1,), (2,), (3,), (4,), (5,)]


def test_credentials_and_authority_are_the_same(story: Story) -> None:
    credentials = [active(server, story.kept["id"])["credentials"] for server in (story.beside, story.alone)]
    assert {(c["username"], c["password"], c["ca"]) for c in credentials} == {
        tuple(story.kept["credentials"][name] for name in ("username", "password", "ca"))
    }


def test_addresses_are_the_same_unless_something_else_listens_there(story: Story) -> None:
    assert active(story.alone, story.kept["id"])["connection"] == story.kept["connection"]
    moved = active(story.beside, story.kept["id"])
    ports = [{conninfo_to_dict(url)["port"] for url in one["connection"].values()} for one in (moved, story.kept)]
    assert ports[0].isdisjoint(ports[1])
    assert moved["credentials"]["url"].startswith(moved["access"][:13])
    assert conninfo_to_dict(moved["credentials"]["url"])["port"] == conninfo_to_dict(moved["access"])["port"]


def test_a_deleted_database_can_still_be_restored(story: Story) -> None:
    found(story.beside, "POST", f"/{story.gone['id']}/restore")
    assert query(active(story.beside, story.gone["id"]), story.folder, "SELECT i FROM t") == [(7,)]


def test_what_is_written_afterwards_can_be_recovered_in_turn(story: Story) -> None:
    database = active(story.alone, story.kept["id"])
    query(database, story.folder, "CREATE TABLE after AS SELECT 1 AS i")
    answer = found(story.alone, "POST", f"/{database['id']}/recover", {"name": "later"})
    assert query(active(story.alone, answer["id"]), story.folder, "SELECT i FROM after") == [(1,)]
