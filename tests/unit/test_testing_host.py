"""The fake host answers what a test has put into it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from enopax_core import Place, Presented, Principal, ResourceRecord, Target
from enopax_core.errors import NotFound, SettingsError, Unauthenticated
from enopax_core.testing import FakeHost

pytestmark = pytest.mark.anyio
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


class PostSettings(BaseModel, extra="forbid"):
    port: int = 25


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path, settings={"post": {"port": 2525}})


def record(name: str = "one") -> ResourceRecord:
    return ResourceRecord(
        id=f"r-{name}", endpoint="kit", organisation="o1", project="p1", name=name, created_at=MOMENT, updated_at=MOMENT
    )


async def test_settings_are_checked_as_the_real_ones(tmp_path: Path, host: FakeHost) -> None:
    assert host.settings("post", PostSettings).port == 2525
    with pytest.raises(SettingsError, match="prot"):
        FakeHost(tmp_path, settings={"post": {"prot": 1}}).settings("post", PostSettings)


async def test_the_clock_says_what_the_test_says(host: FakeHost) -> None:
    host.now += timedelta(days=30)
    assert host.clock() == datetime(2026, 1, 31, tzinfo=UTC)


async def test_callers_are_known_by_what_they_present(host: FakeHost) -> None:
    someone = host.principals["secret"] = Principal(id="k-1", kind="key")
    assert await host.authenticate(Presented(address="", token="secret")) == someone
    assert await host.authenticate(Presented(address="", basic=("git", "secret"))) == someone
    with pytest.raises(Unauthenticated):
        await host.authenticate(Presented(address="", token="other"))


async def test_everything_is_allowed_but_what_is_denied(host: FakeHost) -> None:
    mine, theirs = Target(organisation="o1"), Target(organisation="o2")
    host.denied.add(("read", theirs))
    assert await host.authorise(Principal(id="k-1", kind="key"), "read", [mine, theirs]) == [True, False]


async def test_places_are_found_by_name_and_by_slug(host: FakeHost) -> None:
    place = Place(
        organisation_id="o1", organisation="Ä & Co", organisation_slug="a-co", project_id="p1", project="Web", project_slug="web"
    )
    host.places.append(place)
    assert await host.resolve("Ä & Co", "Web") == place
    assert await host.resolve("a-co", "web", by="slug") == place
    assert await host.resolve("a-co", "web") is None


async def test_resources_are_found_held_and_released(host: FakeHost) -> None:
    one = host.resources.records["r-one"] = record()
    assert await host.resources.get("r-one") == one
    assert await host.resources.find("kit", "p1", "one") == one
    await host.resources.hold("r-one", "quota", "full")
    await host.resources.hold("r-one", "quota", "still full")
    assert [(hold.name, hold.reason) for hold in host.resources.records["r-one"].holds] == [("quota", "still full")]
    await host.resources.release("r-one", "quota")
    assert host.resources.records["r-one"] == one
    with pytest.raises(NotFound):
        await host.resources.hold("r-other", "quota", "full")


async def test_a_port_stays_with_its_owner_until_it_is_given_back(host: FakeHost) -> None:
    first = await host.ports.allocate("r-one", "http")
    assert await host.ports.allocate("r-one", "http") == first
    assert await host.ports.allocate("r-two", "http") != first
    assert await host.ports.of("r-one") == {"http": first}
    await host.ports.release("r-one")
    assert await host.ports.of("r-one") == {}


async def test_who_listens_hears_of_credentials_that_end(host: FakeHost) -> None:
    heard: list[str] = []
    host.on_revoked(heard.append)
    host.revoked("k-1")
    assert heard == host.ended == ["k-1"]


async def test_secrets_are_really_sealed(host: FakeHost) -> None:
    sealed = host.vault.seal({"token": "secret"})
    assert sealed is not None
    assert b"secret" not in sealed
    assert host.vault.open(sealed) == {"token": "secret"}


async def test_addresses_are_kept(host: FakeHost) -> None:
    host.publish_address("smtp", {"host": "127.0.0.1", "port": 25})
    assert host.addresses == {"smtp": {"host": "127.0.0.1", "port": 25}}


async def test_what_needs_a_database_is_sent_elsewhere(host: FakeHost) -> None:
    with pytest.raises(NotImplementedError, match="PluginConformance"):
        _ = host.ledger
