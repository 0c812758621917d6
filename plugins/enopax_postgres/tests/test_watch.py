"""The watch looks on, whatever happens to the databases it looks at, and takes nobody down with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest
from plugins.enopax_postgres.tests.conftest import Site, parts, rows

from enopax_core.errors import TemporaryError
from enopax_postgres import quota, watch
from enopax_postgres.layout import Layout

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(autouse=True)
def _brisk() -> Iterator[None]:
    """The watch's own pauses are short, so that no test has to wait for them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "TICK", 0.02)
        patch.setattr(watch, "LONGEST", 0.02)
        yield


async def test_a_connection_that_the_server_ends_is_a_temporary_error(site: Site, database: dict[str, Any]) -> None:
    record = await site.core.host.resources.get(database["id"])
    assert record is not None
    databases = parts(site).databases

    def end_it() -> None:
        with databases.administration(databases.of(record)) as connection:
            connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(TemporaryError, match="ended the connection"):
        await anyio.to_thread.run_sync(end_it)
    assert await rows(database, "SELECT 1") == [(1,)]


async def test_a_database_that_goes_while_it_is_looked_at_takes_nothing_with_it(
    site: Site, database: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def gone(layout: Layout) -> int:
        nonlocal looks
        looks += 1
        raise FileNotFoundError(2, "No such file or directory", str(layout.data))

    monkeypatch.setattr(quota, "used", gone)
    with anyio.fail_after(60):
        while looks < 3:  # noqa: ASYNC110  # it went on after the first two
            await anyio.sleep(0.01)
    monkeypatch.undo()
    assert (await site.call("GET", f"/{database['id']}"))["status"] in ("active", "degraded")
