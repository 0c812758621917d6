"""A replica that is read from, and that takes over without losing what was acknowledged."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psycopg
import pytest
from plugins.enopax_postgres.tests.conftest import Site, connect, rows
from psycopg.conninfo import conninfo_to_dict

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


class Writer:
    """Inserts numbers as fast as it can and remembers which of them were acknowledged."""

    def __init__(self, database: dict[str, Any]) -> None:
        self._database, self._ended = database, threading.Event()
        self.acknowledged: list[int] = []

    def run(self) -> None:
        """Until ended; connects anew whenever a connection ends."""
        number = 0
        while not self._ended.is_set():
            try:
                with connect(self._database) as connection:
                    while not self._ended.is_set():
                        number += 1
                        connection.execute("INSERT INTO t VALUES (%s)", (number,))
                        self.acknowledged.append(number)
            except psycopg.Error:
                continue

    def end(self) -> None:
        """No more."""
        self._ended.set()


@asynccontextmanager
async def writing(database: dict[str, Any]) -> AsyncIterator[Writer]:
    """A writer at work, which has had a commit acknowledged already."""
    writer = Writer(database)
    await rows(database, "CREATE TABLE t (i int)")
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.to_thread.run_sync, writer.run)
        try:
            await more(writer, 100)
            yield writer
        finally:
            writer.end()


async def more(writer: Writer, count: int) -> None:
    """Wait for further acknowledgements."""
    wanted = len(writer.acknowledged) + count
    with anyio.fail_after(60):
        while len(writer.acknowledged) < wanted:  # noqa: ASYNC110  # what is waited for happens in a thread
            await anyio.sleep(0.01)


def primary_of(site: Site, database: dict[str, Any]) -> Path:
    """The home of the server that is the primary."""
    pointer = next(site.core.settings.data_dir.glob(f"postgres/backups/{database['id']}")) / "primary"
    name = pointer.read_text().split()[0] if pointer.exists() else ".postgres"
    return next(site.core.settings.data_dir.rglob(f"{database['id']}{name}"))


def kill(home: Path) -> None:
    """kill -9 the server that has its home there."""
    os.kill(int((home / "data/postmaster.pid").read_text().split()[0]), signal.SIGKILL)


async def lost(database: dict[str, Any], writer: Writer) -> set[int]:
    """Numbers that were acknowledged and are not there."""
    return set(writer.acknowledged) - {number for (number,) in await rows(database, "SELECT i FROM t")}


async def test_the_replica_shows_what_was_committed_and_takes_no_writes(site: Site) -> None:
    made = await site.make("read", plan="postgres-medium")
    await rows(made, "CREATE TABLE t (i int)", "INSERT INTO t VALUES (1)")
    await site.call("PATCH", f"/{made['id']}", {"maintenanceWindow": "Mon 01:00"})  # returns once the replica has caught up
    port = conninfo_to_dict(made["connection"]["replica"])["port"]
    with connect(made, port=port) as replica:
        assert replica.execute("SELECT i FROM t").fetchall() == [(1,)]
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            replica.execute("INSERT INTO t VALUES (2)")
    shown = await site.call("GET", f"/{made['id']}")
    assert next(c for c in shown["conditions"] if c["type"] == "Replicated")["status"] == "True"
    assert "pg_replication_lag_bytes" in (await site.call("GET", f"/{made['id']}/metrics"))["metrics"]


async def test_a_failover_in_order_loses_nothing_and_keeps_the_address(site: Site) -> None:
    made = await site.make("ordered", plan="postgres-medium")
    old = primary_of(site, made)
    async with writing(made) as writer:
        await site.call("POST", f"/{made['id']}/failover")
        await more(writer, 10)
    assert primary_of(site, made) != old
    assert await lost(made, writer) == set()
    shown = await site.call("GET", f"/{made['id']}")
    assert (shown["status"], shown["access"]) == ("active", made["access"])


async def test_a_primary_that_is_gone_is_replaced(site: Site) -> None:
    made = await site.make("gone", plan="postgres-medium", synchronous=True)
    async with writing(made) as writer:
        home = primary_of(site, made)
        kill(home)
        await anyio.to_thread.run_sync(shutil.rmtree, home / "data")
        await site.call("POST", f"/{made['id']}/failover")
        await more(writer, 10)
    assert await lost(made, writer) == set()


async def test_one_may_fail_over_again_and_back(site: Site) -> None:
    made = await site.make("twice", plan="postgres-medium")
    first = primary_of(site, made)
    await rows(made, "CREATE TABLE t (i int)")
    for number in range(2):
        await rows(made, f"INSERT INTO t VALUES ({number})")
        await site.call("POST", f"/{made['id']}/failover")
    assert primary_of(site, made) == first
    assert await rows(made, "SELECT count(*) FROM t") == [(2,)]


async def test_a_replica_that_is_broken_is_made_anew(site: Site) -> None:
    made = await site.make("broken", plan="postgres-medium")
    replica = next(site.core.settings.data_dir.rglob(f"{made['id']}.postgres-b"))
    kill(replica)
    await anyio.to_thread.run_sync(shutil.rmtree, replica / "data")
    await site.call("POST", f"/{made['id']}/replica/rebuild")
    assert (await site.call("GET", f"/{made['id']}"))["status"] == "active"


async def test_a_plan_without_replica_cannot_fail_over(site: Site) -> None:
    made = await site.make("alone")
    assert (await site.ask("POST", f"/{made['id']}/failover")).status_code == 409


async def test_a_commit_cannot_wait_for_a_replica_that_the_plan_lacks(site: Site) -> None:
    body = {"name": "never", "organisationName": "Acme", "projectName": "Web", "synchronous": True}
    answer = await site.ask("POST", "", body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/synchronous")


async def test_a_recovery_in_place_makes_the_replica_anew(site: Site) -> None:
    made = await site.make("rewound", plan="postgres-medium")
    backup = await site.call("POST", f"/{made['id']}/backups")
    await rows(made, "CREATE TABLE t (i int)")
    await site.call("POST", f"/{made['id']}/recover", {"inPlace": True, "backup": backup["id"]})
    shown = await site.call("GET", f"/{made['id']}")
    assert next(c for c in shown["conditions"] if c["type"] == "Replicated")["status"] == "True"
    assert await rows(made, "SELECT to_regclass('t')") == [(None,)]
