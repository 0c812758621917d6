"""The core inside of somebody else's program."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import httpx
import prometheus_client
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.integration.conftest import PLACE
from tests.integration.shelf import Shelf, Stool, Workshop

from enopax_core import INSTALLATION, Blocking, Core, Settings, create_app
from enopax_core.core.acceptance import Accepted
from enopax_core.errors import DataDirectoryInUse, NameTaken, NotOpen, OperationEnded, StartupError, Unavailable
from enopax_core.records.operation import State

ONE = {"name": "one", **PLACE}


def core(data_dir: Path, workshop: Workshop | None = None) -> Core:
    """A core with two providers."""
    workshop = workshop or Workshop()
    return Core(Settings(data_dir=data_dir), plugins=[Shelf(workshop), Stool(workshop)])


@pytest.mark.anyio
async def test_a_core_is_used_without_http(data_dir: Path) -> None:
    async with core(data_dir) as opened:
        accepted = await opened.resources.provision(INSTALLATION, "shelf", ONE)
        assert (await opened.operations.ended(accepted)).state is State.SUCCEEDED
        with pytest.raises(NameTaken):
            await opened.resources.provision(INSTALLATION, "shelf", ONE)
        secrets = await opened.credentials.read(INSTALLATION, "shelf", accepted.resource.id)
        assert secrets == {"token": "token-1"}
        await opened.operations.ended(await opened.resources.delete(INSTALLATION, "shelf", accepted.resource.id))
        with pytest.raises(OperationEnded):
            await opened.operations.ended(await opened.resources.delete(INSTALLATION, "shelf", accepted.resource.id))


@pytest.mark.anyio
async def test_two_cores_in_one_process_do_not_meet(tmp_path: Path) -> None:
    async with core(tmp_path / "a") as one, core(tmp_path / "b") as other:
        accepted = await one.resources.provision(INSTALLATION, "shelf", ONE)
        await one.operations.ended(accepted)
        there = await other.resources.page(INSTALLATION, "shelf", *PLACE.values(), after=0, size=10, status=None)
        assert there.items == ()
        assert b"enopax_operations_total{" not in other.metrics.exposition()
        with pytest.raises(DataDirectoryInUse):
            async with core(tmp_path / "a"):
                pass


def test_a_program_without_a_loop_uses_a_core_too(data_dir: Path) -> None:
    run = Blocking(core(data_dir))
    with run:
        accepted = run(run.core.resources.provision, INSTALLATION, "shelf", ONE)
        assert run(run.core.operations.ended, accepted).state is State.SUCCEEDED
        with pytest.raises(NameTaken):
            run(run.core.resources.provision, INSTALLATION, "shelf", ONE)
    with pytest.raises(NotOpen):
        run(run.core.operations.ended, accepted)


@pytest.mark.anyio
async def test_a_mounted_application_says_when_its_core_was_not_opened(data_dir: Path) -> None:
    closed = core(data_dir)
    app = Starlette(routes=[Mount("/infra", create_app(closed))])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        refused = await client.get("/infra/v1/shelf?org=a&project=b", headers={"X-API-Key": "x"})
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:enopax:problem:not-open")
        assert "async with Core" in refused.json()["error"]
        async with closed:
            key = closed.owner_key_file.read_text().strip()
            made = await client.post("/infra/v1/shelf", json=ONE, headers={"X-API-Key": key})
            assert made.headers["location"].startswith("/infra/v1/shelf/")


@pytest.mark.anyio
async def test_the_library_configures_nothing(data_dir: Path) -> None:
    handlers = list(logging.getLogger().handlers)
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    names = {family.name for family in prometheus_client.REGISTRY.collect()}
    async with core(data_dir) as opened:
        await opened.operations.ended(await opened.resources.provision(INSTALLATION, "shelf", ONE))
        assert logging.getLogger().handlers == handlers
        assert {number: signal.getsignal(number) for number in signals} == signals
        assert {family.name for family in prometheus_client.REGISTRY.collect()} == names


def test_importing_the_core_costs_an_author_no_server() -> None:
    code = "import sys, enopax_core.provider, enopax_core; enopax_core.Provider; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"starlette", "uvicorn", "sqlite3", "httpx2"} & set(loaded)


@pytest.mark.anyio
async def test_a_core_may_be_opened_again(data_dir: Path) -> None:
    again = core(data_dir)
    for name in ("one", "two"):
        async with again:
            assert again.ready
            accepted = await again.resources.provision(INSTALLATION, "shelf", {**ONE, "name": name})
            assert (await again.operations.ended(accepted)).state is State.SUCCEEDED


@pytest.mark.anyio
async def test_a_core_is_not_opened_twice_at_a_time(data_dir: Path) -> None:
    async with core(data_dir) as opened:
        with pytest.raises(StartupError, match="open it once"):
            await opened.__aenter__()
        assert opened.ready


@pytest.mark.anyio
async def test_whoever_waits_for_an_end_hears_that_the_core_closes(data_dir: Path) -> None:
    workshop = Workshop()
    heard: list[str] = []

    async def wait(opened: Core, accepted: Accepted) -> None:
        with pytest.raises(Unavailable, match="goes on when it is opened again"):
            await opened.operations.ended(accepted)
        heard.append(accepted.resource.id)

    async with anyio.create_task_group() as group, core(data_dir, workshop) as opened:
        workshop.close("provision")
        accepted = await opened.resources.provision(INSTALLATION, "shelf", ONE)
        group.start_soon(wait, opened, accepted)
        await workshop.entered["provision"].wait()
    assert heard == [accepted.resource.id]


@pytest.mark.anyio
async def test_the_description_of_a_mounted_api_says_where_it_is_mounted(data_dir: Path) -> None:
    described = create_app(core(data_dir))
    transport = httpx.ASGITransport(Starlette(routes=[Mount("/infra", described), Mount("/", described)]))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        servers = [(await client.get(f"{prefix}/openapi.json")).json()["servers"] for prefix in ("/infra", "")]
    assert servers == [[{"url": "/infra"}], [{"url": "/"}]]
