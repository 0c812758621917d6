"""The disk of a plan: what a full database still allows, and what it says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.to_thread
import psycopg
import pytest
from plugins.enopax_postgres.tests.conftest import Site, opened, parts, rows

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
DISK = 64 << 20
FILL: Any = "INSERT INTO t SELECT repeat(md5(i::text), 30) FROM generate_series(1, {}) AS i"


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[Site]:
    """A site whose small plan is small indeed."""
    async with opened(small_disk_bytes=DISK) as found:
        yield found


async def written_out(site: Site, database: dict[str, Any]) -> None:
    """Have everything on the disk that is in memory alone: what a new database will take anyhow is then there."""
    record = await site.core.host.resources.get(database["id"])
    assert record is not None

    def checkpoint() -> None:
        databases = parts(site).databases
        with databases.administration(databases.of(record)) as connection:
            connection.execute("CHECKPOINT")

    await anyio.to_thread.run_sync(checkpoint)


async def until(site: Site, id: str, reason: str) -> str:
    """Wait until the condition DiskSpace has a reason; its message. Each change lets the core look."""
    with anyio.fail_after(90):
        while True:
            shown = await site.call("PATCH", f"/{id}", {})
            condition = next(c for c in shown["conditions"] if c["type"] == "DiskSpace")
            if condition["reason"] == reason:
                return str(condition["message"])


async def refused(database: dict[str, Any], error: type[Exception], statement: Any) -> None:
    """Wait until a statement fails so: the watch looks as often as the disk could have filled."""
    with anyio.fail_after(90):
        while True:
            try:
                await rows(database, statement)
            except error:
                return
            except psycopg.OperationalError:
                continue  # its connection was ended in between
            await anyio.sleep(0.1)


async def allowed(database: dict[str, Any], statement: Any) -> None:
    """Wait until a statement succeeds."""
    with anyio.fail_after(90):
        while True:
            try:
                await rows(database, statement)
            except psycopg.Error:
                await anyio.sleep(0.1)
            else:
                return


async def test_a_full_database_takes_no_writes_but_lets_people_clean_up(site: Site) -> None:
    made = await site.make("full")
    await written_out(site, made)
    await rows(made, "CREATE TABLE t (x text)", FILL.format(39_500))  # to 105 %: neither open nor closed
    await refused(made, psycopg.errors.ReadOnlySqlTransaction, "INSERT INTO t VALUES ('one more')")
    assert "read-only" in await until(site, made["id"], "ReadOnly")
    assert (await site.call("GET", f"/{made['id']}"))["status"] == "degraded"
    await rows(made, "SET default_transaction_read_only = off", "TRUNCATE t")
    await until(site, made["id"], "Enough")
    await allowed(made, "INSERT INTO t VALUES ('again')")


async def test_one_that_grows_nevertheless_takes_no_connections_until_its_plan_is_larger(site: Site) -> None:
    made = await site.make("growing")
    await rows(made, "CREATE TABLE t (x text)", FILL.format(80_000))
    await refused(made, psycopg.OperationalError, "SELECT 1")
    await until(site, made["id"], "Closed")
    await site.call("PATCH", f"/{made['id']}", {"plan": "postgres-medium"})
    await allowed(made, "INSERT INTO t VALUES ('again')")


async def test_a_plan_is_too_small_for_what_is_there_already(site: Site) -> None:
    made = await site.make("heavy", plan="postgres-medium")
    await rows(made, "CREATE TABLE t (x text)", FILL.format(35_000))
    answer = await site.ask("PATCH", f"/{made['id']}", {"plan": "postgres-small"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/plan")
