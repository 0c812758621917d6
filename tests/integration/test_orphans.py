"""What is left of resources that do not exist: told by the doctor and by reconcile, removed where that is asked for alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from tests.integration.conftest import House, opened

from enopax_core import Host
from enopax_core.engine.orphans import serves
from enopax_core.ledger import audit
from enopax_core.records.audit import AuditEntry
from enopax_core.records.finding import Finding
from enopax_core.records.principal import INSTALLATION
from enopax_core.runtime import Known, Service

pytestmark = pytest.mark.anyio


def known(id: str, resource: str | None = None, *, defined: bool = True) -> Known:
    return Known(id=id, resource=resource, defined=defined, directory=True, process=False)


def test_a_service_is_of_the_resource_that_it_was_described_for_or_else_of_the_one_in_its_id() -> None:
    assert serves(known("spare-7", "acme-db-x7")) == "acme-db-x7"
    assert serves(known("acme-db-x7.primary", defined=False)) == "acme-db-x7"


def test_what_is_a_plugin_s_own_is_of_no_resource() -> None:
    assert serves(known("spare-7")) is None
    assert serves(known("spare-7", defined=False)) is None  # it is being prepared
    assert serves(known("pool.spare-7")) is None


@pytest.fixture
async def house(data_dir: Path) -> AsyncIterator[House]:
    """A house whose resources may have services, and none of them afterwards."""
    async with opened(data_dir, sections={"runtime": {"user": "nobody"}}) as house:
        try:
            yield house
        finally:
            for one in await house.core.host.runtime.services():
                await house.core.host.runtime.remove(one.id)


def idle(id: str, resource: str | None) -> Service:
    return Service(id=id, resource=resource, command=["sleep", "100000"])


async def examined(house: House, *, fix: bool = False) -> list[Finding]:
    """What the doctor says of orphans."""
    return [one for one in await house.core.examination(INSTALLATION, fix=fix) if one.check == "orphans"]


async def services(host: Host) -> set[str]:
    return {one.id for one in await host.runtime.services()}


def lose(data_dir: Path) -> None:
    """Descriptions and directories of services, while these run."""
    for specification in data_dir.glob("runtime/specifications/*"):
        specification.unlink()
    for directory in data_dir.glob("services/*"):
        directory.rmdir()


async def test_services_of_a_resource_that_does_not_exist_are_told_and_removed_by_fix_alone(house: House) -> None:
    host = house.core.host
    await host.runtime.ensure(idle("gone-x7.main", "gone-x7"))
    await host.runtime.directory("gone-x7.second")  # made, and killed before it was described
    port = await host.ports.allocate("gone-x7", "main")
    (told,) = await examined(house)
    assert (told.severity, told.remedy) == ("warning", "enopax doctor --fix")
    assert "gone-x7.main, gone-x7.second" in told.message
    assert (await host.runtime.status("gone-x7.main")).ready
    (done,) = await examined(house, fix=True)
    assert done.severity == "ok"
    assert await services(host) == set()
    assert (await host.ports.of("gone-x7"), port > 0) == ({}, True)
    assert [one.message for one in await examined(house)] == ["Nothing is left of resources that do not exist."]


async def test_who_has_things_mended_is_in_the_audit_log(house: House) -> None:
    before = len(await audited(house))
    await examined(house)
    assert len(await audited(house)) == before
    await examined(house, fix=True)
    assert [(one.action, one.principal) for one in await audited(house)][before:] == [("doctor.fix", INSTALLATION.id)]


async def audited(house: House) -> list[AuditEntry]:
    return await house.core.ledger.read(lambda t: audit.everything(t, after=0, size=1000))


async def test_a_process_of_which_everything_else_is_lost_is_found_and_ended(house: House, data_dir: Path) -> None:
    host = house.core.host
    status = await host.runtime.ensure(idle("gone-x7.main", "gone-x7"))
    process = psutil.Process(status.pid)
    lose(data_dir)
    (told,) = await examined(house)
    assert "gone-x7.main" in told.message
    await examined(house, fix=True)
    assert not process.is_running()
    assert await services(host) == set()


async def test_what_is_in_creation_kept_after_deletion_or_a_plugin_s_own_is_left_alone(house: House) -> None:
    host = house.core.host
    kept = await house.make("kept")
    await host.runtime.ensure(idle(f"{kept['id']}.main", kept["id"]))
    await house.owner.delete(f"/v1/shelf/{kept['id']}")
    gate = house.workshop.close("provision")
    begun = await house.begin("begun")
    await house.workshop.entered["provision"].wait()
    await host.runtime.directory(f"{begun['id']}.main")
    await host.runtime.ensure(idle("spare-1", None))
    await host.runtime.directory("spare-2")
    there = {f"{kept['id']}.main", f"{begun['id']}.main", "spare-1", "spare-2"}
    assert await services(host) == there
    assert [one.severity for one in await examined(house, fix=True)] == ["ok"]
    assert await services(host) == there
    gate.set()
    await house.ended(begun["operation"])


async def test_what_a_purged_resource_leaves_is_an_orphan(house: House) -> None:
    made = await house.make("one")
    await house.core.host.runtime.directory(f"{made['id']}.main")
    assert [one.severity for one in await examined(house)] == ["ok"]
    await house.owner.delete(f"/v1/shelf/{made['id']}", params={"purge": "true"})
    assert (await house.owner.get(f"/v1/shelf/{made['id']}")).status_code == 404
    (told,) = await examined(house)
    assert made["id"] in told.message


async def test_what_a_provider_lists_without_a_resource_is_told_and_left(house: House) -> None:
    house.workshop.strangers.append("stranger-k3")
    for fix in (False, True):
        (told,) = await examined(house, fix=fix)
        assert (told.severity, "stranger-k3" in told.message) == ("warning", True)


async def test_a_provider_that_cannot_list_what_it_has_is_told(house: House) -> None:
    house.workshop.failures["inventory"].append(RuntimeError("lost"))
    (told,) = await examined(house)
    assert told.message.startswith("shelf does not say what it has")


async def test_reconcile_counts_services_without_a_resource_and_names_them_once(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    await house.core.host.runtime.directory("gone-x7.main")
    await reconciled(house, 1)
    await reconciled(house, 2)
    await reconciled(house, 3)  # it begins when the one before has ended
    assert house.core.metrics.registry.get_sample_value("enopax_orphans", {"provider": "runtime"}) == 1.0
    assert caplog.text.count("gone-x7.main") == 1
    assert await services(house.core.host) == {"gone-x7.main"}


async def reconciled(house: House, times: int) -> None:
    house.hands.move(hours=1)
    await house.until(lambda: house.workshop.called("inventory") >= times)
