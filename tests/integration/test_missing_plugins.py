"""A plugin that is broken, gone or switched off is told of; it stops nobody else, and what it holds waits untouched."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import anyio
import httpx
import pytest
from tests.integration.conftest import House, opened
from tests.integration.shelf import Workshop

from enopax_core import Core, Settings, create_app
from enopax_core.errors import SettingsError
from enopax_core.ledger import operations
from enopax_core.ledger.interface import Transaction
from enopax_core.records.operation import OperationRecord, State

pytestmark = pytest.mark.anyio


async def look(core: Core, id: str) -> OperationRecord:
    """An operation as the ledger has it."""
    found = await core.ledger.read(lambda t: operations.get(t, id))
    assert found is not None
    return found


async def left_running(house: House) -> str:
    """An operation as a server leaves it that is killed while it runs."""
    gate = house.workshop.close("provision")
    begun = await house.begin()
    await house.workshop.entered["provision"].wait()

    def die(transaction: Transaction) -> None:
        record = operations.get(transaction, begun["operation"])
        assert record is not None
        operations.save(transaction, replace(record, owner="killed"))

    await house.core.ledger.write(die)
    gate.set()
    return str(begun["operation"])


async def test_a_start_without_the_plugin_of_what_ran_leaves_it_for_later(data_dir: Path) -> None:
    async with opened(data_dir) as house:
        operation = await left_running(house)
    async with Core(Settings(data_dir=data_dir), plugins=()) as core:
        found = await look(core, operation)
        assert (found.state, found.attempt) == (State.QUEUED, 1)
    async with opened(data_dir) as house:
        assert ((ended := await house.ended(operation)).state, ended.attempt) == (State.SUCCEEDED, 2)


async def test_what_is_due_for_a_missing_plugin_costs_no_attempt_and_hides_nobody_else(data_dir: Path) -> None:
    async with opened(data_dir) as house:
        gate = house.workshop.close("provision")
        begun = await house.begin()
        await house.workshop.entered["provision"].wait()
    async with Core(Settings(data_dir=data_dir), plugins=()) as core:
        assert await core.ledger.read(lambda t: operations.due_heads(t, ["shelf"], 10)) == [begun["operation"]]
        with anyio.move_on_after(0.2):  # several sweeps
            await core.operations.pause(begun["operation"], 10)
        assert ((found := await look(core, begun["operation"])).state, found.attempt) == (State.QUEUED, 0)
    gate.set()
    async with opened(data_dir, workshop=Workshop()) as house:
        assert (await house.ended(begun["operation"])).attempt == 1


async def test_a_resource_of_a_missing_plugin_is_not_there_and_comes_back_with_it(data_dir: Path) -> None:
    workshop = Workshop()
    async with opened(data_dir, workshop=workshop) as house:
        made = await house.make()
        key = house.owner.headers["X-API-Key"]
    async with Core(Settings(data_dir=data_dir), plugins=()) as core:
        transport = httpx.ASGITransport(create_app(core))
        async with httpx.AsyncClient(transport=transport, base_url="http://enopax.test", headers={"X-API-Key": key}) as owner:
            assert (await owner.get(f"/v1/shelf/{made['id']}")).status_code == 404
            operation = await owner.get(f"/v1/operations/{made['operation']}")
            assert (operation.status_code, operation.json()["resource"]) == (200, made["id"])
            assert (await owner.post(f"/v1/operations/{made['operation']}/retry")).status_code in (404, 409)
    async with opened(data_dir, workshop=workshop) as house:
        assert (await house.get(f"/v1/shelf/{made['id']}"))["status"] == "active"


async def test_a_restart_costs_no_attempt(data_dir: Path) -> None:
    operation = ""
    for _ in range(4):  # more often than a shelf is tried
        async with opened(data_dir) as house:
            house.workshop.close("provision")
            if not operation:
                operation = (await house.begin())["operation"]
            await house.workshop.entered["provision"].wait()
            assert (await look(house.core, operation)).attempt == 1
    async with opened(data_dir) as house:
        assert (await house.ended(operation)).state is State.SUCCEEDED


# ── Broken ones ───────────────────────────────────────────────────────────────────────────────────────────────────────

SOUND = """
    from enopax_core.provider import Config, Observed, Outcome, Provider, hookimpl

    class Sound(Provider[Config]):
        name, endpoint = "sound", "sound"
        def provision(self, operation, resource): return Outcome()
        def status(self, resource): return Observed(health="ready")
        def delete(self, operation, resource): return None

    @hookimpl
    def enopax_providers(host): return [Sound()]
"""
BROKEN = {
    "broken_import": "import nothing_of_this_name",
    "broken_syntax": "def",
    "broken_exit": "raise SystemExit(3)",
    "broken_hook": "from enopax_core.provider import hookimpl\n@hookimpl\ndef enopax_provider(host): return []",
    "broken_provider": SOUND.replace('"sound", "sound"', '"sound", "Not A Segment"'),
    "broken_method": SOUND.replace("def status", "def statsu"),
    "broken_answer": "from enopax_core.provider import hookimpl\n@hookimpl\ndef enopax_providers(host): raise OSError('no')",
}


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Path]:
    """Distributions on the path as pip leaves them: one that works, and one for each way to be broken."""
    for name, source in {"aa_sound": SOUND, **BROKEN}.items():
        (tmp_path / f"{name}.py").write_text(dedent(source))
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[enopax]\n{name} = {name}\n")
    sys.path.insert(0, str(tmp_path))
    yield tmp_path
    sys.path.remove(str(tmp_path))
    for name in ("aa_sound", *BROKEN):
        sys.modules.pop(name, None)


async def test_broken_plugins_are_named_in_the_log_and_in_readiness_and_stop_nobody(
    installed: Path, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disabled = ("example", "git", "postgres", "script")
    async with Core(Settings(data_dir=data_dir, disabled_plugins=disabled)) as core:
        transport = httpx.ASGITransport(create_app(core))
        async with httpx.AsyncClient(transport=transport, base_url="http://enopax.test") as nobody:
            ready = await nobody.get("/readyz")
            offered = await nobody.get("/providers/info")
    assert ready.status_code == 200
    assert {problem["plugin"] for problem in ready.json()["plugins"]} == set(BROKEN)
    assert str(installed) not in ready.text
    assert [provider["name"] for provider in offered.json()["providers"]] == ["sound"]
    for name in BROKEN:
        assert f"The plugin {name} cannot be used" in caplog.text
    assert "did you mean enopax_providers" in caplog.text
    assert "did you mean status" in caplog.text


async def test_a_plugin_is_switched_off_by_its_name(installed: Path, data_dir: Path) -> None:
    disabled = ("example", "git", "postgres", "script", "aa_sound", *BROKEN)
    core = Core(Settings(data_dir=data_dir, disabled_plugins=disabled))
    assert (core.registry.problems, list(core.registry.providers)) == ([], [])


async def test_a_name_that_no_plugin_has_is_refused_with_the_nearest(installed: Path, data_dir: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        Core(Settings(data_dir=data_dir, disabled_plugins=("aa_sounds",)), plugins=())
    assert caught.value.message == "disabled_plugins: there is no plugin aa_sounds. Did you mean aa_sound?"


async def test_the_second_plugin_of_a_name_is_told_of(installed: Path, data_dir: Path) -> None:
    info = installed / "twin-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: twin\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[enopax]\naa_sound = aa_sound:Sound\n")
    core = Core(Settings(data_dir=data_dir, disabled_plugins=("example", "git", "postgres", "script", *BROKEN)))
    assert [(problem.plugin, problem.message[:40]) for problem in core.registry.problems] == [
        ("aa_sound", "There is already a plugin called aa_soun")
    ]
