"""What a plugin may ask the core for: another resource, and a schedule that begins early."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.integration.conftest import PLACE, House, opened
from tests.integration.shelf import Workshop

from enopax_core.errors import NameTaken
from enopax_core.provider import Config, Observed, Operation, Outcome, Provider, Resource, scheduled

pytestmark = pytest.mark.anyio


class Clock(Provider[Config]):
    """Strikes soon after it was made, then each day."""

    name, endpoint = "clock", "clock"

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop

    def provision(self, operation: Operation, resource: Resource[Config]) -> Outcome:
        """Build."""
        return Outcome()

    def status(self, resource: Resource[Config]) -> Observed:
        """Look."""
        return Observed(health="ready")

    def delete(self, operation: Operation, resource: Resource[Config]) -> None:
        """Take apart."""

    @scheduled(every=timedelta(days=1), first=timedelta(seconds=30))
    def strike(self, operation: Operation, resource: Resource[Config]) -> None:
        """Strike."""
        self.workshop.note("strike", resource.id)


async def test_a_plugin_provisions_in_the_place_of_another_resource(house: House) -> None:
    one = await house.make()
    made = await house.core.host.resources.provision("shelf", {"name": "two"}, beside=one["id"], key="op/copy")
    shown = await house.get(f"/v1/shelf/{made.id}")
    assert (shown["name"], shown["organisation"], shown["project"]) == ("two", *PLACE.values())


async def test_the_same_key_gives_the_same_resource(house: House) -> None:
    one = await house.make()
    plugin = house.core.host.resources
    first = await plugin.provision("shelf", {"name": "two"}, beside=one["id"], key="op/copy")
    again = await plugin.provision("shelf", {"name": "two"}, beside=one["id"], key="op/copy")
    assert again.id == first.id


async def test_another_key_does_not_give_a_name_that_is_taken(house: House) -> None:
    one = await house.make()
    with pytest.raises(NameTaken):
        await house.core.host.resources.provision("shelf", {"name": "one"}, beside=one["id"], key="op/copy")


async def test_a_schedule_begins_when_it_says(data_dir: Path) -> None:
    workshop = Workshop()
    async with opened(data_dir, Clock(workshop), workshop=workshop) as house:
        made = await house.make(endpoint="clock")
        house.hands.move(seconds=31)
        await house.until(lambda: ("strike", made["id"]) in workshop.calls)
