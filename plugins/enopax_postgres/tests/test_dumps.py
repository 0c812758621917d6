"""Logical dumps, out of a database and into another."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from plugins.enopax_postgres.tests.conftest import Site, connect, rows

from enopax_core.provider import Download, Sink
from enopax_core.records.principal import INSTALLATION
from enopax_postgres.imports import Imports
from enopax_postgres.machine import Machine

pytestmark = pytest.mark.anyio
GATE = 42
"""Advisory lock that an import of the source must pass."""


@pytest.fixture(scope="module")
async def source(site: Site) -> dict[str, Any]:
    """A database of some megabytes, with whatever a dump may trip over."""
    made = await site.make("source", extensions=["pg_trgm", "bloom"])
    await rows(
        made,
        "CREATE SCHEMA shelf",
        "CREATE TABLE shelf.book (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text UNIQUE)",
        "INSERT INTO shelf.book (title) SELECT md5(i::text) FROM generate_series(1, 20000) i",
        "CREATE INDEX ON shelf.book USING gin (title gin_trgm_ops)",
        'CREATE VIEW public."odd; ""name""" AS SELECT count(*) FROM shelf.book',
        "COMMENT ON SCHEMA public IS 'ours'",
        "SELECT lo_from_bytea(0, 'large')",
        "CREATE FUNCTION gate(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS"
        " 'BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN i; END'",
        "CREATE TABLE last (i int)",
        "INSERT INTO last VALUES (1)",
        "CREATE INDEX ON last (gate(i))",
    )
    return made


@pytest.fixture(scope="module")
async def archive(site: Site, source: dict[str, Any]) -> bytes:
    """What is in the source."""
    answer = await site.ask("GET", f"/{source['id']}/dump/custom")
    assert answer.headers["content-disposition"].endswith("source.dump")
    return answer.content


@pytest.fixture(scope="module")
async def target(site: Site) -> dict[str, Any]:
    """A database into which nothing was imported yet, and which lacks an extension."""
    return await site.make("target", extensions=["pg_trgm"])


async def load(site: Site, database: dict[str, Any], content: bytes | AsyncIterator[bytes]) -> httpx.Response:
    """Import into a database."""
    return await site.send(f"/{database['id']}/import", content)


async def tables(database: dict[str, Any]) -> int:
    """How many tables the customer has."""
    ((found,),) = await rows(database, "SELECT count(*) FROM pg_tables WHERE tableowner = 'app_owner'")
    return int(found)


def left(site: Site) -> list[str]:
    """Files of uploads that are still there."""
    return [file.name for file in (site.core.settings.data_dir / "postgres/imports").iterdir()]


async def clients(database: dict[str, Any], name: str) -> list[str]:
    """As whom a client program is signed in at a database."""
    names = await rows(database, "SELECT application_name, usename FROM pg_stat_activity WHERE usename IS NOT NULL")
    return [user for application, user in names if application == name]


def process_of(name: str, database: dict[str, Any]) -> Path:
    """The one process of a client program that works on a database."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "comm").read_text().strip() == name and database["id"].encode() in (process / "cmdline").read_bytes():
                found.append(process)
        except (FileNotFoundError, ProcessLookupError):
            continue
    assert len(found) == 1
    return found[0]


# ── Out ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_plain_dump_is_whole_sql_that_fits_anywhere(site: Site, source: dict[str, Any]) -> None:
    answer = await site.ask("GET", f"/{source['id']}/dump/plain")
    assert answer.headers["content-disposition"].endswith("source.sql")
    assert "COPY shelf.book" in answer.text
    assert "PostgreSQL database dump complete" in answer.text
    assert "app_owner" not in answer.text
    assert "enopax" not in answer.text


async def test_a_format_that_there_is_not_is_named(site: Site, source: dict[str, Any]) -> None:
    answer = await site.ask("GET", f"/{source['id']}/dump/tar")
    assert (answer.status_code, "custom" in answer.json()["error"]) == (404, True)


@asynccontextmanager
async def dumping(site: Site, database: dict[str, Any]) -> AsyncIterator[None]:
    """A dump that has begun and cannot go on, because nobody takes its second piece; broken off at the end."""
    begun = anyio.Event()
    match = site.core.endpoints.match("postgres", "GET", "dump/plain")
    seen = await site.core.endpoints.find(INSTALLATION, match, database["id"])
    download = await site.core.endpoints.call(INSTALLATION, match, seen, None)
    assert isinstance(download, Download)

    async def write(sink: Sink) -> None:
        await download.write(sink)

    async def take(_: bytes) -> None:
        begun.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(write, take)
        with anyio.fail_after(60):
            await begun.wait()
        yield
        group.cancel_scope.cancel()


async def test_a_dump_waits_for_its_reader_and_ends_with_it(site: Site, source: dict[str, Any]) -> None:
    async with dumping(site, source):
        assert await clients(source, "pg_dump") == ["app_a"]
    with anyio.fail_after(60):
        while await clients(source, "pg_dump"):  # noqa: ASYNC110  # the server has no event for it
            await anyio.sleep(0.02)


async def test_the_password_stands_in_no_arguments_and_in_nobody_elses_environment(site: Site, source: dict[str, Any]) -> None:
    async with dumping(site, source):
        process = process_of("pg_dump", source)
        assert source["credentials"]["password"].encode() not in (process / "cmdline").read_bytes()
        assert (process / "environ").stat().st_mode & 0o077 == 0


# ── In: what is refused ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_plain_sql_is_refused_whatever_it_would_do(site: Site, target: dict[str, Any], tmp_path: Path) -> None:
    answer = await load(site, target, f"\\! touch {tmp_path / 'owned'}\nCREATE TABLE t ();\n".encode())
    assert (answer.status_code, "plain SQL is not taken" in answer.json()["error"]) == (409, True)
    assert (await tables(target), (tmp_path / "owned").exists()) == (0, False)


@pytest.mark.parametrize("content", [b"", b"PGD", b"PGDMP", b"PGDMP" + b"\xff" * 100])
async def test_what_only_begins_like_an_archive_is_refused(site: Site, target: dict[str, Any], content: bytes) -> None:
    answer = await load(site, target, content)
    assert (answer.status_code, "cannot be read" in answer.json()["error"]) == (409, True)


async def test_an_archive_that_needs_an_extension_says_where_to_add_it(
    site: Site, target: dict[str, Any], archive: bytes
) -> None:
    answer = await load(site, target, archive)
    assert (answer.status_code, "add bloom there first" in answer.json()["error"]) == (409, True)
    await site.call("PATCH", f"/{target['id']}", {"extensions": ["pg_trgm", "bloom"]})


async def test_an_archive_that_is_cut_short_changes_nothing(site: Site, target: dict[str, Any], archive: bytes) -> None:
    answer = await load(site, target, archive[: len(archive) // 2])
    assert (answer.status_code, answer.json()["error"].startswith("Nothing was imported: ")) == (409, True)
    assert (await tables(target), left(site)) == (0, [])


async def test_an_upload_that_breaks_off_leaves_nothing(site: Site, target: dict[str, Any], archive: bytes) -> None:
    async def torn() -> AsyncIterator[bytes]:
        yield archive[:1000]
        raise RuntimeError

    assert (await load(site, target, torn())).status_code == 503
    assert left(site) == []


async def test_what_a_kill_has_left_of_an_upload_is_removed_by_the_next_start(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "imports"
    folder.mkdir()
    (folder / "left").write_bytes(b"PGDMP")
    machine = Machine(site.core.host)
    Imports(None, None, machine, folder)  # type: ignore[arg-type]  # nothing is loaded
    assert list(folder.iterdir()) == []


# ── In ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def importing(site: Site, database: dict[str, Any], archive: bytes, answers: list[httpx.Response]) -> AsyncIterator[None]:
    """An import that has done almost everything and waits, so long as this is not left; what was answered."""

    async def ask() -> None:
        answers.append(await load(site, database, archive))

    async with anyio.create_task_group() as group:
        with await anyio.to_thread.run_sync(connect, database) as gate:
            gate.execute("SELECT pg_advisory_lock(%s)", (GATE,))
            group.start_soon(ask)
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            with anyio.fail_after(240):
                while gate.execute(waiting).fetchone() != (1,):  # noqa: ASYNC110  # the server has no event for it
                    await anyio.sleep(0.02)
            yield


async def test_a_killed_import_changes_nothing(site: Site, target: dict[str, Any], archive: bytes) -> None:
    answers: list[httpx.Response] = []
    async with importing(site, target, archive, answers):
        process = process_of("pg_restore", target)
        assert target["credentials"]["password"].encode() not in (process / "cmdline").read_bytes()
        os.kill(int(process.name), signal.SIGKILL)
    assert (answers[0].status_code, answers[0].json()["error"].startswith("Nothing was imported: ")) == (409, True)
    with anyio.fail_after(60):
        while await clients(target, "pg_restore"):  # noqa: ASYNC110  # the server takes the transaction back
            await anyio.sleep(0.02)
    assert (await tables(target), left(site)) == (0, [])


async def test_an_archive_is_imported_whole_by_the_customer_alone(site: Site, target: dict[str, Any], archive: bytes) -> None:
    answers: list[httpx.Response] = []
    async with importing(site, target, archive, answers):
        assert await clients(target, "pg_restore") == ["app_a"]
        second = await load(site, target, archive)
    assert (second.status_code, "under way" in second.json()["error"]) == (409, True)
    assert (answers[0].status_code, answers[0].json()) == (200, {"success": True, "message": "Imported."})
    assert await rows(target, 'SELECT * FROM public."odd; ""name"""') == [(20_000,)]
    assert await rows(target, "SELECT convert_from(lo_get(oid), 'UTF8') FROM pg_largeobject_metadata") == [("large",)]
    owners = await rows(target, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname IN ('shelf', 'public')")
    assert (owners, left(site)) == ([("app_owner",)], [])


async def test_an_import_into_what_is_there_already_says_what_it_met(site: Site, source: dict[str, Any], archive: bytes) -> None:
    answer = await load(site, source, archive)
    assert (answer.status_code, 'schema "shelf" already exists' in answer.json()["error"]) == (409, True)


async def test_a_server_that_does_not_answer_is_no_empty_dump(site: Site, target: dict[str, Any]) -> None:
    await site.core.host.runtime.stop(f"{target['id']}.postgres")
    answer = await site.ask("GET", f"/{target['id']}/dump/plain")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert target["credentials"]["password"] not in answer.text
