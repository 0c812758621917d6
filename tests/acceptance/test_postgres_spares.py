"""Spare databases and servers that are killed: nothing is given twice, nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from tests.acceptance.serverkit import Server, eventually, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
LONG = 300.0  # seconds: on a busy machine a database takes ten times what it takes alone
PLACE = {"organisationName": "Acme", "projectName": "Shop"}


@pytest.fixture
def server(data_dir: Path) -> Iterator[Server]:
    """A server that keeps a spare; none of its databases outlives the test."""
    with serving(data_dir, ENOPAX_POSTGRES_SPARES="1") as running:
        yield running
        if running.process is None or running.process.poll() is not None:  # the test has failed after a kill
            running.start()
        for database in listed(running):
            path = f"/v1/postgres/{database['id']}?purge=true"
            running.api.delete(path, headers={"Prefer": "respond-async"}).raise_for_status()
        eventually("no server is left, spares included", lambda: not servers(data_dir), LONG)
        assert processes(data_dir) == []
        assert running.stop() == 0


def listed(server: Server) -> list[dict[str, Any]]:
    """All databases."""
    found: list[dict[str, Any]] = server.api.get("/v1/postgres?org=Acme&project=Shop").json()["resources"]
    return found


def provision(server: Server, name: str, prefer: str = "wait=60") -> str:
    """Ask for a database; its id."""
    answer = server.api.post("/v1/postgres", json={"name": name, **PLACE}, headers={"Prefer": prefer}, timeout=LONG)
    assert answer.is_success, answer.text
    return str(answer.json()["id"])


def servers(data_dir: Path) -> set[str]:
    """Names of the servers that take up anything."""
    return {path.name[: -len(".postgres")] for path in data_dir.glob("services/*[.-]postgres")}


def processes(data_dir: Path) -> list[str]:
    """Command lines of what runs on a file of a service."""
    lines = [" ".join(found.info["cmdline"] or ()) for found in psutil.process_iter(["cmdline"])]
    return [line for line in lines if f"{data_dir}/services/" in line]


def spares(data_dir: Path) -> set[str]:
    """Names of those that belong to no database."""
    given = {file.read_text() for file in data_dir.glob("postgres/spares/[!.]*")}
    return {name for name in servers(data_dir) if name.startswith("postgres-spare-")} - given


def identifier(server: Server, id: str) -> str:
    """What tells a database from every other."""
    credentials = server.api.get(f"/v1/postgres/{id}/credentials").json()["credentials"]
    with psycopg.connect(credentials["url"]) as connection:
        row = connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
    assert row is not None
    return str(row[0])


def test_a_server_that_is_killed_gives_no_spare_twice_and_leaves_none_behind(server: Server) -> None:
    folder = server.data_dir
    made = [provision(server, "first")]
    eventually("a spare is being made", lambda: spares(folder), LONG)
    for turn in range(2):
        before = spares(folder)
        made.append(provision(server, f"turn-{turn}", "respond-async"))
        server.kill()
        server.start()
        left = before & spares(folder)
        eventually("what nobody took is gone", lambda: not left & spares(folder), LONG)  # noqa: B023  # called at once
        eventually("every database is up", lambda: all(one["status"] == "active" for one in listed(server)), LONG)
        eventually("there is another spare", lambda: spares(folder), LONG)
    assert {database["id"] for database in listed(server)} == set(made)
    assert len({identifier(server, id) for id in made}) == len(made)
    assert len(servers(folder) - spares(folder)) == len(made)
