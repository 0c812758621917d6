"""A replica that is read from, and that takes over without losing what was acknowledged."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psycopg
import pytest
from plugins.enopax_postgres.tests.conftest import PATIENCE, Site, connect, rows
from plugins.enopax_postgres.tests.writing import TABLE, Writer
from psycopg import sql

from enopax_core import INSTALLATION
from enopax_core.provider import LogLine
from enopax_postgres import watch

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(600)]


@asynccontextmanager
async def writing(database: dict[str, Any]) -> AsyncIterator[Writer]:
    """A writer at work, which has had a commit acknowledged already."""
    writer = Writer(database["credentials"]["url"])
    await rows(database, "DROP TABLE IF EXISTS t", TABLE)
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
    with anyio.fail_after(PATIENCE):
        while not writer.wrote(wanted):  # noqa: ASYNC110  # what is waited for happens in a thread
            await anyio.sleep(0.01)


def primary_of(site: Site, database: dict[str, Any]) -> Path:
    """The home of the server that is the primary."""
    pointer = next(site.core.settings.data_dir.glob(f"postgres/backups/{database['id']}")) / "primary"
    name = pointer.read_text().split()[0] if pointer.exists() else ".postgres"
    return next(site.core.settings.data_dir.rglob(f"{database['id']}{name}"))


def kill(home: Path, data: str = "data") -> None:
    """kill -9 the server that has its home there."""
    os.kill(int((home / data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)


@pytest.fixture(scope="module", autouse=True)
def _brisk() -> Iterator[None]:
    """Databases are looked at each second: no test has to wait for half a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "LONGEST", 1.0)
        yield


@pytest.fixture(scope="module")
async def pair(site: Site) -> dict[str, Any]:
    """A database with a replica, for tests that leave both running."""
    return await site.make("pair", plan="postgres-medium")


@pytest.fixture(scope="module")
async def careful(site: Site) -> dict[str, Any]:
    """The same, where a commit waits for the replica."""
    return await site.make("careful", plan="postgres-medium", synchronous=True)


async def replicated(site: Site, database: dict[str, Any]) -> tuple[str, str]:
    """Status and reason of the condition, as it is after a change without effect."""
    shown = await site.call("PATCH", f"/{database['id']}", {})
    return next((c["status"], c["reason"]) for c in shown["conditions"] if c["type"] == "Replicated")


def replica_of(site: Site, database: dict[str, Any]) -> Path:
    """The home of the server that follows."""
    homes = set(site.core.settings.data_dir.rglob(f"{database['id']}.postgres*"))
    (found,) = {home for home in homes if home.is_dir()} - {primary_of(site, database)}
    return found


async def break_off(home: Path) -> None:
    """Kill a server and take its data away: it cannot come back."""
    await anyio.to_thread.run_sync(shutil.move, home / "data", home / "gone")
    kill(home, "gone")
    await anyio.to_thread.run_sync(partial(shutil.rmtree, home / "gone", ignore_errors=True))  # its children end in a moment


async def lost(database: dict[str, Any], writer: Writer) -> set[int]:
    """Numbers that were acknowledged and are not there."""
    return set(writer.acknowledged) - {number for (number,) in await rows(database, "SELECT i FROM t")}


async def tells(log: AsyncGenerator[LogLine | None, None], database: dict[str, Any], name: str) -> None:
    """Whoever follows the log reads what the server has to say now, of a column that there is not."""

    def ask() -> None:
        with connect(database) as connection, pytest.raises(psycopg.errors.UndefinedColumn):
            connection.execute(sql.SQL("SELECT {}").format(sql.Identifier(name)))

    await anyio.to_thread.run_sync(ask)
    with anyio.fail_after(60):
        while (line := await anext(log)) is None or name not in line.message:
            pass


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_replica_shows_what_was_committed_and_takes_no_writes(site: Site, pair: dict[str, Any]) -> None:
    await rows(pair, "CREATE TABLE shown (i int)", "INSERT INTO shown VALUES (1)")
    await site.call("PATCH", f"/{pair['id']}", {"maintenanceWindow": "Mon 01:00"})  # returns once the replica has caught up
    with psycopg.connect(pair["credentials"]["replicaUrl"], connect_timeout=60) as replica:
        assert replica.execute("SELECT i FROM shown").fetchall() == [(1,)]
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            replica.execute("INSERT INTO shown VALUES (2)")


async def test_the_replica_shows_a_certificate_that_the_given_authority_verifies(pair: dict[str, Any], tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text(pair["credentials"]["ca"])
    url = pair["credentials"]["replicaUrl"]
    with psycopg.connect(url, sslmode="verify-full", sslrootcert=str(authority), connect_timeout=60) as replica:
        assert replica.pgconn.ssl_in_use


async def test_nobody_reads_the_replica_without_tls(pair: dict[str, Any]) -> None:
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        psycopg.connect(pair["credentials"]["replicaUrl"], sslmode="disable", connect_timeout=60)


async def test_how_far_the_replica_is_behind_is_measured(site: Site, pair: dict[str, Any]) -> None:
    assert await replicated(site, pair) == ("True", "Streaming")
    metrics = (await site.call("GET", f"/{pair['id']}/metrics"))["metrics"]
    assert {"pg_replication_lag_bytes", "pg_replication_lag_seconds"} <= set(metrics)


# ── Failing over ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_failovers_in_order_there_and_back_lose_nothing_and_keep_the_address(site: Site, pair: dict[str, Any]) -> None:
    first = primary_of(site, pair)
    log = await site.core.logs.follow(INSTALLATION, "postgres", pair["id"])
    assert log is not None
    async with aclosing(log), writing(pair) as writer:
        for expected in (replica_of(site, pair), first):
            await site.call("POST", f"/{pair['id']}/failover")
            await more(writer, 10)
            assert primary_of(site, pair) == expected
            await tells(log, pair, f"on_{expected.name[-12:]}".replace("-", "_").replace(".", "_"))
    assert await lost(pair, writer) == set()
    shown = await site.call("GET", f"/{pair['id']}")
    assert (shown["status"], shown["access"]) == ("active", pair["access"])


async def test_what_was_acknowledged_under_load_survives_a_primary_that_is_killed(site: Site, careful: dict[str, Any]) -> None:
    async with writing(careful) as writer:
        kill(primary_of(site, careful))
        await site.call("POST", f"/{careful['id']}/failover")
        await more(writer, 10)
    assert await lost(careful, writer) == set()


async def test_a_failover_goes_on_where_it_was_killed_between_stopping_both_and_changing_over(
    site: Site, careful: dict[str, Any]
) -> None:
    async with writing(careful) as writer:
        await more(writer, 1)
        expected = replica_of(site, careful)
        for home in (primary_of(site, careful), expected):
            await site.core.host.runtime.stop(home.name)
        await site.call("POST", f"/{careful['id']}/failover")
        await more(writer, 10)
    assert primary_of(site, careful) == expected
    assert await lost(careful, writer) == set()


async def test_the_replica_takes_over_by_itself_where_nothing_else_is_left(site: Site, careful: dict[str, Any]) -> None:
    async with writing(careful) as writer:
        gone = primary_of(site, careful)
        await break_off(gone)
        await more(writer, 10)
    assert await lost(careful, writer) == set()
    assert primary_of(site, careful) != gone
    with anyio.fail_after(PATIENCE):
        while (await site.call("GET", f"/{careful['id']}"))["status"] != "active":  # noqa: ASYNC110  # of resuming
            await anyio.sleep(0.05)


async def test_a_commit_waits_until_the_replica_has_it(site: Site, careful: dict[str, Any]) -> None:
    await break_off(replica_of(site, careful))
    with connect(careful) as waiting, connect(careful) as looking:
        looking.execute("SET ROLE NONE")  # the owner that both act as does not see what its logins wait for
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, partial(waiting.execute, "CREATE TABLE held (i int)"))
            try:
                await waits_for_the_replica(looking, waiting.info.backend_pid)
                await site.call("POST", f"/{careful['id']}/replica/rebuild")
            except BaseException:
                waiting.cancel()
                raise
    assert await rows(careful, "SELECT to_regclass('held')::text") == [("held",)]


async def waits_for_the_replica(looking: psycopg.Connection[Any], pid: int) -> None:
    """Wait until a session does."""
    query = "SELECT wait_event FROM pg_stat_activity WHERE pid = %s"
    with anyio.fail_after(PATIENCE):
        while looking.execute(query, (pid,)).fetchone() != ("SyncRep",):  # noqa: ASYNC110  # what is waited for happens in the server
            await anyio.sleep(0.01)


async def test_a_plan_without_replica_cannot_fail_over(site: Site, database: dict[str, Any]) -> None:
    assert (await site.ask("POST", f"/{database['id']}/failover")).status_code == 409


async def test_a_commit_cannot_wait_for_a_replica_that_the_plan_lacks(site: Site) -> None:
    body = {"name": "never", "organisationName": "Acme", "projectName": "Web", "synchronous": True}
    answer = await site.ask("POST", "", body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/synchronous")


# ── What else happens to a database with a replica ───────────────────────────────────────────────────────────────────


async def test_a_replica_that_is_broken_is_made_anew(site: Site, pair: dict[str, Any]) -> None:
    await break_off(replica_of(site, pair))
    await site.call("POST", f"/{pair['id']}/replica/rebuild")
    assert await replicated(site, pair) == ("True", "Streaming")


async def test_credentials_rotate_while_the_replica_is_away(site: Site) -> None:
    made = await site.make("rotated", plan="postgres-medium")
    await break_off(replica_of(site, made))
    new = await site.call("POST", f"/{made['id']}/credentials/rotate")
    assert await rows(new, "SELECT 1") == [(1,)]
    await site.call("POST", f"/{made['id']}/replica/rebuild")
    with psycopg.connect(new["credentials"]["replicaUrl"], connect_timeout=60) as replica:
        assert replica.execute("SELECT 1").fetchone() == (1,)


async def test_a_recovery_in_place_makes_the_replica_anew(site: Site, pair: dict[str, Any]) -> None:
    await site.call("POST", f"/{pair['id']}/backups")
    ((moment,),) = await rows(pair, "CREATE TABLE kept (i int)", "SELECT clock_timestamp()")
    await rows(pair, "CREATE TABLE undone (i int)")
    await site.call("POST", f"/{pair['id']}/recover", {"inPlace": True, "time": moment.isoformat()})
    assert await replicated(site, pair) == ("True", "Streaming")
    with psycopg.connect(pair["credentials"]["replicaUrl"], connect_timeout=60) as replica:
        assert replica.execute("SELECT to_regclass('kept')::text, to_regclass('undone')::text").fetchone() == ("kept", None)


async def test_a_plan_brings_its_replica_and_takes_it_along(site: Site) -> None:
    made = await site.make("moving")
    grown = await site.call("PATCH", f"/{made['id']}", {"plan": "postgres-medium"})
    assert grown["connection"].keys() >= {"direct", "replica"}
    url = (await site.call("GET", f"/{made['id']}/credentials"))["credentials"]["replicaUrl"]
    with psycopg.connect(url, connect_timeout=60) as replica:
        assert replica.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
    shrunk = await site.call("PATCH", f"/{made['id']}", {"plan": "postgres-small"})
    assert "replica" not in shrunk["connection"]
    assert "replicaUrl" not in (await site.call("GET", f"/{made['id']}/credentials"))["credentials"]
    assert list(site.core.settings.data_dir.rglob(f"{made['id']}.postgres-b*")) == []
    assert await rows(made, "SELECT 1 FROM pg_replication_slots") == []
