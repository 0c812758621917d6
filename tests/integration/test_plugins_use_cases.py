"""What a plugin may ask the core for: another resource, a schedule that begins early, a refusal before acceptance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.integration.conftest import PLACE, House, opened
from tests.integration.shelf import Workshop

from enopax_core import Core, Host, Settings, hookimpl
from enopax_core.errors import NameTaken
from enopax_core.provider import (
    Config,
    CustomEndpoint,
    Json,
    Observed,
    Operation,
    Outcome,
    PermanentError,
    Provider,
    Resource,
    custom_endpoint,
    scheduled,
)

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

    def _known(self, resource: Resource[Config], hand: str) -> None:
        if hand not in ("hour", "minute"):
            raise PermanentError(f"A clock has no {hand} hand.")

    @custom_endpoint("POST", "/hands/{hand}/move", permission="operate", check=_known)
    def move(self, operation: Operation, resource: Resource[Config], hand: str) -> None:
        """Move a hand."""
        self.workshop.note("move", resource.id)

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


async def test_what_an_endpoint_refuses_is_answered_at_once_and_starts_no_operation(data_dir: Path) -> None:
    workshop = Workshop()
    async with opened(data_dir, Clock(workshop), workshop=workshop) as house:
        made = await house.make(endpoint="clock")
        answer = await house.owner.post(f"/v1/clock/{made['id']}/hands/third/move")
        assert (answer.status_code, answer.json()["error"]) == (409, "A clock has no third hand.")
        operations = await house.get(f"/v1/clock/{made['id']}/operations")
        assert [operation["type"] for operation in operations["operations"]] == ["provision"]


async def test_what_an_endpoint_does_not_refuse_is_done(data_dir: Path) -> None:
    workshop = Workshop()
    async with opened(data_dir, Clock(workshop), workshop=workshop) as house:
        made = await house.make(endpoint="clock")
        answer = await house.owner.post(f"/v1/clock/{made['id']}/hands/hour/move")
        assert answer.status_code == 200
        assert ("move", made["id"]) in workshop.calls


class Bell(Clock):
    """A clock whose endpoint says what it takes by a JSON Schema."""

    name, endpoint = "bell", "bell"
    strokes: ClassVar[Any] = {
        "type": "object",
        "required": ["strokes"],
        "properties": {"strokes": {"type": "integer", "maximum": 12}},
    }

    def endpoints(self) -> Sequence[CustomEndpoint]:
        """One, made by hand."""

        def ring(resource: Resource[Config], request: Json) -> Json:
            return {"rang": request["strokes"]}

        return [CustomEndpoint(method="POST", path="/ring", permission="operate", call=ring, name="ring", schema=self.strokes)]


async def test_a_custom_endpoint_may_say_what_it_takes_by_a_schema(data_dir: Path) -> None:
    async with opened(data_dir, Bell(Workshop())) as house:
        id = (await house.make(endpoint="bell"))["id"]
        rang = await house.owner.post(f"/v1/bell/{id}/ring", json={"strokes": 3})
        assert rang.json()["rang"] == 3
        refused = await house.owner.post(f"/v1/bell/{id}/ring", json={"strokes": 13})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/strokes")
        (bell,) = [p for p in (await house.get("/providers/info"))["providers"] if p["endpoint"] == "bell"]
        assert bell["customEndpoints"][0]["schema"] == Bell.strokes


class Tower:
    """A plugin one of whose providers is not good, and that tells of something else that it cannot use."""

    @hookimpl
    def enopax_providers(self, host: Host) -> Iterable[Provider[Any]]:
        """Three, of which the middle one breaks the contract."""
        host.report_problem("tower", "The stairs are broken.")
        for endpoint in ("first", "Second", "third"):
            yield type("Floor", (Clock,), {"endpoint": endpoint})(Workshop())


def test_what_a_plugin_cannot_use_does_not_stop_the_rest_of_it(data_dir: Path) -> None:
    core = Core(Settings(data_dir=data_dir), plugins=[Tower()])
    assert [known.endpoint for known in core.registry.providers] == ["first", "third"]
    assert [problem.message[:24] for problem in core.registry.problems] == ["The stairs are broken.", "Floor: The endpoint 'Sec"]
