"""Spares: servers that run already, which the next databases take."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from plugins.enopax_postgres.tests.conftest import Site, opened, rows

from enopax_core import Core
from enopax_postgres import plugin
from enopax_postgres.names import Names, new_spare

pytestmark = pytest.mark.anyio


# ── Names ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_database_that_was_no_spare_is_kept_under_its_id(tmp_path: Path) -> None:
    names = Names(tmp_path / "names")
    assert (names.of("a-b-c"), names.of_service("a-b-c.postgres-b"), names.owners()) == ("a-b-c", "a-b-c.postgres-b", {})


async def test_a_database_that_was_a_spare_keeps_the_name_of_the_spare(tmp_path: Path) -> None:
    names, spare = Names(tmp_path / "names"), new_spare()
    names.give(spare, "a-b-c")
    assert names.of_service("a-b-c.postgres-b") == f"{spare}-postgres-b"
    assert Names(tmp_path / "names").owners() == {spare: "a-b-c"}
    names.forget("a-b-c")
    names.forget("a-b-c")
    assert (names.of("a-b-c"), names.owners()) == ("a-b-c", {})


# ── Databases ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[Site]:
    """Shared by the tests of this module; with a database, so that spares are made."""
    async with opened(spares=1) as found:
        await found.make("first")
        yield found


async def a_spare(core: Core) -> str:
    """Wait until there is one to take; its name."""
    spares = plugin._service(core.host).parts().spares
    with anyio.fail_after(90):
        while not spares.ready:  # noqa: ASYNC110  # it is made in a thread
            await anyio.sleep(0.05)
    return spares.ready[0]


async def kept(core: Core) -> dict[str, str | None]:
    """The servers that the runtime has, with the resources they belong to."""
    return {known.id: known.resource for known in await core.host.runtime.services() if known.id.endswith("postgres")}


async def identifier(database: dict[str, Any]) -> str:
    """The identifier of a server, as the customer's login may see it."""
    found: str = (await rows(database, "SELECT system_identifier::text FROM pg_control_system()"))[0][0]
    return found


async def test_a_database_takes_the_spare_and_is_one_like_every_other(site: Site) -> None:
    spare = await a_spare(site.core)
    assert (await kept(site.core))[f"{spare}-postgres"] is None
    made = await site.make("taken", extensions=["pg_trgm"], allowedNetworks=["127.0.0.0/8"])
    assert (await kept(site.core))[f"{spare}-postgres"] == made["id"]
    assert await rows(made, "CREATE TABLE t (i int)", "INSERT INTO t VALUES (1)", "SELECT i FROM t") == [(1,)]
    await site.call("PATCH", f"/{made['id']}", {"allowedNetworks": ["192.0.2.0/24"]})
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
        await rows(made, "SELECT 1")
    await site.call("PATCH", f"/{made['id']}", {"allowedNetworks": ["127.0.0.0/8"]})
    await site.call("POST", f"/{made['id']}/backups")
    recovered = await site.ready((await site.call("POST", f"/{made['id']}/recover", {"name": "again"}))["id"])
    assert await rows(recovered, "SELECT i FROM t") == [(1,)]
    await site.call("POST", f"/{made['id']}/restart")
    assert await rows(made, "SELECT i FROM t") == [(1,)]
    shown = await site.call("GET", f"/{made['id']}")
    assert {c["type"]: c["status"] for c in shown["conditions"]}["RestartPending"] == "False"
    await a_spare(site.core)
    await site.call("DELETE", f"/{made['id']}?purge=true")
    left = [path for path in site.core.settings.data_dir.rglob("*") if made["id"] in path.name or spare in path.name]
    assert left == []
    assert await site.core.host.ports.of(spare) == {}


async def test_a_spare_is_given_to_one_database_alone_and_to_none_that_it_does_not_fit(site: Site) -> None:
    spare = await a_spare(site.core)
    made: list[dict[str, Any]] = []

    async def make(name: str, **more: Any) -> None:
        made.append(await site.make(name, **more))

    await make("other", database="other")
    assert plugin._service(site.core.host).parts().spares.ready[:1] == (spare,)
    async with anyio.create_task_group() as together:
        for number in range(2):
            together.start_soon(make, f"many-{number}")
    owners = await kept(site.core)
    assert owners[f"{spare}-postgres"] in {one["id"] for one in made}
    assert len({await identifier(one) for one in made}) == 3
