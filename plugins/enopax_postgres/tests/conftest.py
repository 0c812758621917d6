"""A core with the plugin on the real runtime, and clients of its API and of its databases."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, LiteralString

import anyio
import anyio.to_thread
import httpx
import psycopg
import pytest

from enopax_core import Core, Settings, create_app
from enopax_postgres import plugin
from enopax_postgres.parts import Parts

PLACE = {"organisationName": "Acme", "projectName": "Web"}
PATIENCE = 600.0
"""Seconds until an operation that does not end fails a test."""
GRACE = 2
"""Seconds for which an old password opens after a rotation."""


class Site:
    """What a test has of an installation."""

    def __init__(self, core: Core, client: httpx.AsyncClient) -> None:
        self.core, self._client = core, client

    async def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """The answer to a request; operations are waited for."""
        return await self._client.request(method, f"/v1/postgres{path}", json=body, headers={"Prefer": "wait=60"})

    async def send(self, path: str, content: bytes | AsyncIterator[bytes]) -> httpx.Response:
        """The answer to a file."""
        return await self._client.post(f"/v1/postgres{path}", content=content)

    async def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The body of a successful answer."""
        answer = await self.ask(method, path, body)
        found: dict[str, Any] = answer.json()
        assert answer.is_success, found
        assert found["success"], found
        return await self._ended(found) if answer.status_code == 202 else found

    async def _ended(self, accepted: dict[str, Any]) -> dict[str, Any]:
        """What an answer would have been that could wait for as long as a busy machine takes."""
        record = await self.core.operations.wait(accepted["operation"], PATIENCE)
        assert record is not None
        assert record.state == "succeeded", record
        shown = [await self._client.get(path) for path in (f"/v1/operations/{record.id}", f"/v1/postgres/{record.resource}")]
        secret = await self._client.get(f"/v1/postgres/{record.resource}/credentials")
        found = [answer.json() for answer in (*shown, secret) if answer.is_success]
        return {name: value for each in [*found, found[0].get("result", {})] for name, value in each.items()}

    async def make(self, name: str, **more: Any) -> dict[str, Any]:
        """A new database, ready."""
        made = await self.call("POST", "", {"name": name, **PLACE, **more})
        assert made["status"] == "active", made["message"]
        return made

    async def ready(self, id: str) -> dict[str, Any]:
        """Wait until a resource is active; it with its credentials."""
        with anyio.fail_after(60):
            while (found := await self.call("GET", f"/{id}"))["status"] == "provisioning":
                await self.core.operations.wait(found["operation"], 60)
        assert found["status"] == "active", found
        return {**found, **await self.call("GET", f"/{id}/credentials")}


def parts(site: Site) -> Parts:
    """What does the plugin's work in this site."""
    return plugin._service(site.core.host).parts()


def connect(database: dict[str, Any], **more: Any) -> psycopg.Connection[Any]:
    """A customer's connection, in autocommit."""
    return psycopg.connect(database["credentials"]["url"], autocommit=True, connect_timeout=60, **more)


async def rows(database: dict[str, Any], *statements: LiteralString) -> list[Any]:
    """Run statements as the customer; the rows of the last one."""

    def run() -> list[Any]:
        with connect(database) as connection:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    return await anyio.to_thread.run_sync(run)


@contextlib.asynccontextmanager
async def opened(**postgres: Any) -> AsyncIterator[Site]:
    """A site with settings of the plugin; nobody else may enter its data directory, and all that it has made goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="enopax-pg-"))
    settings = Settings(data_dir=folder / "data", sections={"postgres": {"rotation_grace": GRACE, "spares": 0, **postgres}})
    async with Core(settings, plugins=[plugin]) as core:
        key = core.owner_key_file.read_text().strip()
        transport = httpx.ASGITransport(create_app(core))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://enopax.test", headers={"X-API-Key": key}, timeout=120
        ) as client:
            try:
                yield Site(core, client)
            finally:
                for service in await core.host.runtime.services():
                    await core.host.runtime.remove(service.id)
    await anyio.to_thread.run_sync(shutil.rmtree, folder)


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[Site]:
    """Shared by the tests of a module."""
    async with opened() as found:
        yield found


@pytest.fixture(scope="module")
async def database(site: Site) -> dict[str, Any]:
    """One database of the small plan, for tests that leave it as it was."""
    return await site.make("shared", extensions=["pg_trgm"])
