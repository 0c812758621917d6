"""A database from POST to purge, as its customer and as its operator see it."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psycopg
import pytest
from plugins.enopax_postgres.tests.conftest import GRACE, Site, connect, rows
from psycopg.conninfo import conninfo_to_dict

from enopax_core import INSTALLATION
from enopax_postgres.config import EXTENSIONS
from enopax_postgres.installations import Installations

pytestmark = pytest.mark.anyio


def address(database: dict[str, Any]) -> dict[str, Any]:
    """The address of a database without credentials."""
    return {**conninfo_to_dict(database["connection"]["direct"]), "connect_timeout": 60}


# ── Logging in ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_given_credentials_log_in_over_tls_that_the_given_authority_verifies(
    database: dict[str, Any], tmp_path: Path
) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text(database["credentials"]["ca"])
    with connect(database, sslmode="verify-full", sslrootcert=str(authority)) as connection:
        assert connection.pgconn.ssl_in_use


async def test_another_authority_does_not_verify_the_server(database: dict[str, Any], tmp_path: Path) -> None:
    from enopax_postgres.authority import Authority
    from enopax_postgres.instance import real_time

    authority = tmp_path / "ca.pem"
    authority.write_bytes(Authority(tmp_path / "other").certificate(real_time()))
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        connect(database, sslmode="verify-full", sslrootcert=str(authority))


WRONG = [
    pytest.param({"sslmode": "disable"}, id="without-tls"),
    pytest.param({"password": "guessed"}, id="wrong-password"),
    pytest.param({"user": "postgres"}, id="superuser"),
    pytest.param({"user": "enopax_replication", "replication": "true"}, id="replication"),
    pytest.param({"user": "app_b"}, id="other-login"),
    pytest.param({"dbname": "postgres"}, id="other-database"),
    pytest.param({"dbname": "template1"}, id="template"),
]


@pytest.mark.parametrize("wrong", WRONG)
async def test_nobody_else_gets_in(database: dict[str, Any], wrong: dict[str, str]) -> None:
    with pytest.raises(psycopg.OperationalError):
        connect(database, **wrong)


async def test_the_access_url_holds_no_credentials(database: dict[str, Any]) -> None:
    assert database["access"] == database["connection"]["direct"]
    assert {"user", "password"}.isdisjoint(address(database))


# ── The pooler ───────────────────────────────────────────────────────────────────────────────────────────────────────


def through_pooler(database: dict[str, Any], **more: Any) -> psycopg.Connection[Any]:
    """A customer's connection through the pooler; this version of PgBouncer may not keep prepared statements."""
    if "pooler" not in database["connection"]:
        pytest.fail("PgBouncer is missing, which scripts/install --tests brings.", pytrace=False)
    port = conninfo_to_dict(database["connection"]["pooler"])["port"]
    return connect(database, port=port, prepare_threshold=None, **more)


async def test_clients_share_connections_of_the_pooler(database: dict[str, Any]) -> None:
    with through_pooler(database) as one, through_pooler(database) as other:
        backends = {client.execute("SELECT pg_backend_pid()").fetchone() for client in (one, other, one)}
    assert len(backends) == 1


async def test_the_pooler_shows_a_certificate_that_the_given_authority_verifies(database: dict[str, Any], tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text(database["credentials"]["ca"])
    with through_pooler(database, sslmode="verify-full", sslrootcert=str(authority)) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("app_owner",)


@pytest.mark.parametrize("wrong", WRONG)
async def test_nobody_else_gets_in_through_the_pooler(database: dict[str, Any], wrong: dict[str, str]) -> None:
    with pytest.raises(psycopg.OperationalError):
        through_pooler(database, **wrong)


async def test_a_refused_login_keeps_nobody_else_out_of_the_pooler(database: dict[str, Any]) -> None:
    with pytest.raises(psycopg.OperationalError):
        through_pooler(database, password="guessed")
    with through_pooler(database) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


# ── What a customer may do ───────────────────────────────────────────────────────────────────────────────────────────


async def test_what_one_login_creates_belongs_to_the_owner_that_both_act_as(database: dict[str, Any]) -> None:
    owner = await rows(
        database,
        "CREATE TABLE owned (i int)",
        "SELECT tableowner FROM pg_tables WHERE tablename = 'owned'",
    )
    assert owner == [("app_owner",)]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER ROLE app_a SUPERUSER",
        "CREATE ROLE another",
        "CREATE DATABASE another",
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "SELECT pg_read_file('/etc/passwd')",
        "CREATE EXTENSION file_fdw",
        "ALTER SYSTEM SET log_statement = 'all'",
        "SELECT pg_reload_conf()",
        "CREATE SUBSCRIPTION s CONNECTION 'host=192.0.2.1' PUBLICATION p",
    ],
)
async def test_a_customer_cannot_leave_the_database(database: dict[str, Any], statement: Any) -> None:
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported)):
        await rows(database, statement)


async def test_the_extensions_asked_for_are_there(database: dict[str, Any]) -> None:
    assert await rows(database, "SELECT extname FROM pg_extension WHERE extname = 'pg_trgm'") == [("pg_trgm",)]


async def test_text_is_utf8_and_sorts_by_code_point(database: dict[str, Any]) -> None:
    assert await rows(database, "SELECT x FROM (VALUES ('b'), ('ä'), ('Z')) AS v (x) ORDER BY x") == [("Z",), ("b",), ("ä",)]


# ── What the operator sees ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_new_database_is_ready(site: Site, database: dict[str, Any]) -> None:
    shown = await site.call("GET", f"/{database['id']}")
    assert {"Ready": "True", "Archived": "True"}.items() <= {c["type"]: c["status"] for c in shown["conditions"]}.items()


async def test_it_says_how_processors_and_memory_are_limited_here(site: Site, database: dict[str, Any]) -> None:
    shown = await site.call("GET", f"/{database['id']}")
    (limited,) = [c for c in shown["conditions"] if c["type"] == "Limited"]
    assert (limited["status"] == "True") == (limited["reason"] == "Cgroup")
    assert "Processors" in limited["message"]


async def test_metrics_have_the_names_that_people_know(site: Site, database: dict[str, Any]) -> None:
    metrics = (await site.call("GET", f"/{database['id']}/metrics"))["metrics"]
    assert metrics["pg_up"]["value"] == 1
    assert {
        "pg_stat_database_numbackends",
        "pg_stat_database_xact_commit",
        "pg_stat_database_blks_hit",
        "pg_database_size_bytes",
        "pg_locks_count",
        "pg_stat_activity_count",
        "pg_stat_activity_max_tx_duration",
        "pg_stat_archiver_archived_count",
        "pg_stat_archiver_failed_count",
    } <= set(metrics)


async def test_no_statement_reaches_the_log(site: Site, database: dict[str, Any]) -> None:
    with pytest.raises(psycopg.Error):
        await rows(database, "CREATE ROLE another PASSWORD 'open sesame'")
    lines = (await site.call("GET", f"/{database['id']}/logs"))["lines"]
    said = "\n".join(line["message"] for line in lines)
    assert "permission denied to create role" in said
    assert "sesame" not in said


async def test_the_log_is_followed_and_holds_no_statement(site: Site, database: dict[str, Any]) -> None:
    lines = await site.core.logs.follow(INSTALLATION, "postgres", database["id"])
    assert lines is not None
    said = ""
    async with contextlib.aclosing(lines):
        await anext(lines)
        with pytest.raises(psycopg.Error):
            await rows(database, "CREATE ROLE followed PASSWORD 'open sesame'", "SELECT 1")
        with pytest.raises(psycopg.Error):
            await rows(database, "SELECT missing_column")
        with anyio.fail_after(60):
            while "missing_column" not in said:
                line = await anext(lines)
                said += "" if line is None else f"{line.message}\n"
    assert "permission denied to create role" in said
    assert "sesame" not in said


# ── Rotation ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
async def test_credentials_rotate_without_a_failed_login(site: Site) -> None:
    made = await site.make("rotated")
    current, ended, logins = made["credentials"]["url"], threading.Event(), 0
    ports = [conninfo_to_dict(address)["port"] for address in made["connection"].values()]

    def keep_logging_in() -> int:
        count = 0
        while not ended.is_set():
            for port in ports:
                psycopg.connect(current, port=port, connect_timeout=60).close()
                count += 1
        return count

    async def client() -> None:
        nonlocal logins
        logins += await anyio.to_thread.run_sync(keep_logging_in)

    async with anyio.create_task_group() as clients:
        for _ in range(3):
            clients.start_soon(client)
        for _ in range(6):
            current = (await site.call("POST", f"/{made['id']}/credentials/rotate"))["credentials"]["url"]
        ended.set()
    assert logins > 6


async def test_an_old_password_ends_after_the_grace_and_its_connections_stay(site: Site) -> None:
    old = await site.make("ending")
    with connect(old) as connection:
        new = await site.call("POST", f"/{old['id']}/credentials/rotate")
        assert new["credentials"]["username"] != old["credentials"]["username"]
        with anyio.fail_after(GRACE + 60):
            while True:
                try:
                    await rows(old, "SELECT 1")
                except psycopg.OperationalError:
                    break
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert await rows(new, "SELECT 1") == [(1,)]


# ── Changes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_network_that_is_no_longer_allowed_is_refused_without_a_restart(site: Site) -> None:
    made = await site.make("fenced")
    before = await rows(made, "SELECT pg_postmaster_start_time()")
    await site.call("PATCH", f"/{made['id']}", {"allowedNetworks": ["192.0.2.0/24"]})
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
        await rows(made, "SELECT 1")
    await site.call("PATCH", f"/{made['id']}", {"allowedNetworks": ["127.0.0.0/8"]})
    assert await rows(made, "SELECT pg_postmaster_start_time()") == before


async def test_a_larger_plan_waits_for_a_restart_that_can_be_asked_for(site: Site) -> None:
    made = await site.make("grown")
    changed = await site.call("PATCH", f"/{made['id']}", {"plan": "postgres-medium"})
    pending = next(c for c in changed["conditions"] if c["type"] == "RestartPending")
    assert (pending["status"], "shared_buffers" in pending["message"]) == ("True", True)
    await site.call("POST", f"/{made['id']}/restart")
    assert await rows(made, "SELECT pg_size_pretty(setting::bigint * 8192) FROM pg_settings WHERE name = 'shared_buffers'") == [
        ("4096 MB",)
    ]


@pytest.mark.parametrize(("field", "value"), [("database", "other"), ("locale", "C")])
async def test_what_was_fixed_at_creation_is_refused_at_its_field(
    site: Site, database: dict[str, Any], field: str, value: str
) -> None:
    answer = await site.ask("PATCH", f"/{database['id']}", {field: value})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, f"/{field}")


async def test_an_extension_that_is_not_installed_here_is_refused_for_a_database_that_runs(
    site: Site, database: dict[str, Any]
) -> None:
    lacking = sorted(set(EXTENSIONS) - Installations("", os.environ["PATH"]).get("default").extensions())
    if not lacking:
        pytest.skip("This PostgreSQL has every extension that is offered.")
    answer = await site.ask("PATCH", f"/{database['id']}", {"extensions": ["pg_trgm", lacking[0]]})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/extensions/1")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"database": "postgres"}, "/database"),
        ({"database": "pg_x"}, "/database"),
        ({"database": "Robert'); DROP TABLE students;--"}, "/database"),
        ({"extensions": ["file_fdw"]}, "/extensions/0"),
        ({"allowedNetworks": ["10.0.0.1/8"]}, "/allowedNetworks"),
        ({"allowedNetworks": ["everyone"]}, "/allowedNetworks"),
        ({"maintenanceWindow": "someday"}, "/maintenanceWindow"),
        ({"recoverFrom": {"resource": "of-nobody"}}, "/recoverFrom/resource"),
    ],
)
async def test_what_is_not_possible_is_refused_at_its_field(site: Site, body: dict[str, Any], pointer: str) -> None:
    answer = await site.ask("POST", "", {"name": "never", "organisationName": "Acme", "projectName": "Web", **body})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


# ── The end ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_deleted_database_comes_back_with_its_rows_and_credentials(site: Site) -> None:
    made = await site.make("kept")
    await rows(made, "CREATE TABLE t (i int)", "INSERT INTO t VALUES (1)")
    await site.call("DELETE", f"/{made['id']}")
    with pytest.raises(psycopg.OperationalError):
        await rows(made, "SELECT 1")
    await site.call("POST", f"/{made['id']}/restore")
    assert await rows(made, "SELECT i FROM t") == [(1,)]


async def test_nothing_is_left_of_a_purged_database(site: Site) -> None:
    made = await site.make("gone")
    await site.call("DELETE", f"/{made['id']}?purge=true")
    left = [path for path in site.core.settings.data_dir.rglob("*") if made["id"] in path.name]
    assert left == []
