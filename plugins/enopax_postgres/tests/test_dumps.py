"""Logical dumps, out of a database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from plugins.enopax_postgres.tests.conftest import Site, rows

from enopax_core.provider import Download, Sink
from enopax_core.records.principal import INSTALLATION

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def library(site: Site) -> dict[str, Any]:
    """A database of some megabytes, with whatever a dump may trip over."""
    made = await site.make("library", extensions=["pg_trgm"])
    await rows(
        made,
        "CREATE SCHEMA shelf",
        "CREATE TABLE shelf.book (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text UNIQUE)",
        "INSERT INTO shelf.book (title) SELECT md5(i::text) FROM generate_series(1, 100000) i",
        "CREATE INDEX ON shelf.book USING gin (title gin_trgm_ops)",
        'CREATE VIEW public."odd; ""name""" AS SELECT count(*) FROM shelf.book',
    )
    return made


async def test_a_plain_dump_is_whole_sql(site: Site, library: dict[str, Any]) -> None:
    answer = await site.ask("GET", f"/{library['id']}/dump/plain")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].endswith("library.sql")
    text = answer.text
    assert "COPY shelf.book" in text
    assert "PostgreSQL database dump complete" in text
    assert "app_owner" not in text


async def test_a_custom_dump_is_an_archive(site: Site, library: dict[str, Any]) -> None:
    answer = await site.ask("GET", f"/{library['id']}/dump/custom")
    assert answer.content.startswith(b"PGDMP")
    assert answer.headers["content-disposition"].endswith("library.dump")


async def test_a_format_that_there_is_not_is_named(site: Site, library: dict[str, Any]) -> None:
    answer = await site.ask("GET", f"/{library['id']}/dump/tar")
    assert (answer.status_code, "custom" in answer.json()["error"]) == (404, True)


async def test_a_server_that_does_not_answer_is_no_empty_dump(site: Site) -> None:
    made = await site.make("silent")
    await site.core.host.runtime.stop(f"{made['id']}.postgres")
    answer = await site.ask("GET", f"/{made['id']}/dump/plain")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert made["credentials"]["password"] not in answer.text


# ── While it is being made ────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def dumping(site: Site, database: dict[str, Any]) -> AsyncIterator[None]:
    """A dump that has begun and cannot go on, because nobody takes its second piece; broken off at the end."""
    core, begun = site.core, anyio.Event()
    match = core.endpoints.match("postgres", "GET", "dump/plain")
    seen = await core.endpoints.find(INSTALLATION, match, database["id"])
    download = await core.endpoints.call(match, seen, None)
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


def dumps() -> Iterator[Path]:
    """Processes of pg_dump on this machine."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.joinpath("comm").read_text() == "pg_dump\n":
                yield process
        except (FileNotFoundError, ProcessLookupError):
            continue


async def sessions(database: dict[str, Any]) -> int:
    """How many sessions of pg_dump the server has."""
    ((found,),) = await rows(database, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump'")
    return int(found)


async def test_a_dump_waits_for_its_reader_and_ends_with_it(site: Site, library: dict[str, Any]) -> None:
    async with dumping(site, library):
        assert await sessions(library) == 1
    with anyio.fail_after(60):
        while await sessions(library):  # noqa: ASYNC110  # the server has no event for it
            await anyio.sleep(0.02)


async def test_the_password_stands_in_no_arguments_and_in_nobody_elses_environment(site: Site, library: dict[str, Any]) -> None:
    password = library["credentials"]["password"].encode()
    async with dumping(site, library):
        mine = [process for process in dumps() if library["id"].encode() in (process / "cmdline").read_bytes()]
        assert len(mine) == 1
        assert password not in (mine[0] / "cmdline").read_bytes()
        assert (mine[0] / "environ").stat().st_mode & 0o077 == 0
