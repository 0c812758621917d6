"""State in, one call of a provider, state out."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio.from_thread
import pytest
from tests.integration.boxes import BoxConfig, Boxes

from enopax_core.errors import Cancelled, PermanentError
from enopax_core.provider import Config, Observed, Operation, Outcome, Plan, Provider, Resource
from enopax_core.records.operation import Progress
from enopax_core.testing import ImpossibleState, Scenario
from enopax_core.testing.handle import Handle

pytestmark = pytest.mark.anyio


class Pebble(Provider[Config]):
    """Declares what is mandatory alone."""

    name, endpoint = "pebble", "pebble"

    def provision(self, operation: Operation, resource: Resource[Config]) -> Outcome | Awaitable[Outcome]:
        raise PermanentError("There are none left.")

    def status(self, resource: Resource[Config]) -> Observed:
        return Observed(health="missing")

    def delete(self, operation: Operation, resource: Resource[Config]) -> None:
        return None


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    return Scenario(Boxes(tmp_path))


async def test_a_call_shows_everything_that_it_reported(scenario: Scenario) -> None:
    result = await scenario.run("provision", scenario.new({"label": "red"}))
    assert result.outcome.access == "box://acme-web-one-abc123"
    assert result.progress == [
        Progress(stage="allocate", percent=20, message="Finding a place"),
        Progress(stage="verify", percent=80, message="Looking at it"),
    ]
    assert [outcome.access for outcome in result.announced] == ["box://acme-web-one-abc123"]
    assert result.steps == {"make": "made"}


async def test_the_resource_afterwards_is_what_the_core_would_keep(scenario: Scenario) -> None:
    result = await scenario.run("provision", scenario.new(BoxConfig(label="red")))
    assert result.resource.applied == BoxConfig(label="red", size=4)  # the size comes with the plan
    assert result.resource.state == {"shelf": "somewhere-private"}
    assert result.resource.credentials == result.outcome.credentials


async def test_a_life_is_a_chain_of_calls(scenario: Scenario) -> None:
    made = await scenario.run("provision", scenario.new())
    changed = await scenario.run("update", made.resource, {"label": "blue"})
    assert changed.resource.applied == BoxConfig(label="blue", size=4)
    found = await scenario.run("status", changed.resource)
    assert found.value == Observed(health="ready", config={"label": "blue", "size": 4})
    deleted = await scenario.run("delete", changed.resource)
    restored = await scenario.run("restore", deleted.resource)
    assert restored.resource.credentials == made.resource.credentials
    assert await scenario.inventory() == {made.resource.id}
    deleted = await scenario.run("delete", restored.resource)
    await scenario.run("purge", deleted.resource)
    assert await scenario.inventory() == set()


async def test_a_second_attempt_does_not_repeat_the_steps_of_the_first(scenario: Scenario) -> None:
    new = scenario.new()
    result = await scenario.run("provision", new, attempt=2, steps={"make": "made before"})
    assert result.steps == {"make": "made before"}
    assert (await scenario.run("status", result.resource)).value.health == "missing"


async def test_what_a_method_raises_reaches_the_test_as_it_is() -> None:
    scenario = Scenario(Pebble())
    with pytest.raises(PermanentError, match="none left"):
        await scenario.run("provision", scenario.new())


async def test_an_outcome_is_asked_of_changes_alone(scenario: Scenario) -> None:
    made = await scenario.run("provision", scenario.new())
    with pytest.raises(TypeError, match="returned Observed and no Outcome"):
        _ = (await scenario.run("status", made.resource)).outcome


@pytest.mark.parametrize(
    ("hook", "after", "config", "message"),
    [
        ("update", (), None, "update is called once provisioning has succeeded"),
        ("metrics", (), None, "metrics is called once provisioning has succeeded"),
        ("provision", ("provision",), None, "was provisioned already"),
        ("restore", ("provision",), None, "Only what was deleted is restored"),
        ("purge", ("provision",), None, "delete comes before purge"),
        ("update", ("provision", "delete"), None, "not called on a deleted resource"),
        ("status", ("provision", "delete"), None, "not called on a deleted resource"),
        ("rotate", ("provision",), {"label": "x"}, "rotate gets no new configuration"),
        ("update", ("provision",), {"size": 99}, "refuses such a configuration: /size: This must be at most 9"),
        ("upgrade", ("provision",), None, "There is no hook 'upgrade'"),
        ("endpoints", ("provision",), None, "endpoints is not called on a resource"),
    ],
)
async def test_a_call_that_the_core_would_never_make_is_refused(
    scenario: Scenario, hook: str, after: tuple[str, ...], config: dict[str, Any] | None, message: str
) -> None:
    resource = scenario.new()
    for before in after:
        resource = (await scenario.run(before, resource)).resource
    with pytest.raises(ImpossibleState, match=message):
        await scenario.run(hook, resource, config)


async def test_a_hook_that_is_not_declared_is_never_called() -> None:
    scenario = Scenario(Pebble())
    with pytest.raises(ImpossibleState, match="Pebble does not implement update"):
        await scenario.run("update", scenario.new())


async def test_nothing_is_restored_where_nothing_is_kept() -> None:
    class Remade(Pebble):
        def restore(self, operation: Operation, resource: Resource[Config]) -> Outcome:
            return Outcome()

        def provision(self, operation: Operation, resource: Resource[Config]) -> Outcome:
            return Outcome(state={"colour": "grey"})

    scenario = Scenario(Remade())
    made = await scenario.run("provision", scenario.new())
    deleted = await scenario.run("delete", made.resource)
    assert deleted.resource.state == {}
    with pytest.raises(ImpossibleState, match="no `retention`"):
        await scenario.run("restore", deleted.resource)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"plan": "boxes-gold"}, "There is no plan 'boxes-gold'; the provider offers boxes-free"),
        ({"id": "Not an id"}, "No resource has the id 'Not an id'"),
        ({"config": {"lable": "red"}}, "/lable: This field is not known here"),
    ],
)
async def test_a_resource_that_cannot_be_is_refused(scenario: Scenario, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ImpossibleState, match=message):
        scenario.new(**given)


async def test_a_result_that_is_no_json_cannot_be_the_result_of_a_step() -> None:
    async def do() -> object:
        return object()

    class Stepping(Pebble):
        def provision(self, operation: Operation, resource: Resource[Config]) -> Outcome:
            anyio.from_thread.run(operation.step, "odd", do)
            return Outcome()

    scenario = Scenario(Stepping())
    with pytest.raises(TypeError, match="JSON"):
        await scenario.run("provision", scenario.new())


async def test_plans_and_presets_are_the_providers_own() -> None:
    class Planned(Pebble):
        plans = (Plan(id="small"), Plan(id="large", limits={"bytes": 5}))
        retention: timedelta | None = None

    scenario = Scenario(Planned())
    assert scenario.new().plan.id == "small"
    assert scenario.new(plan="large").plan.limits == {"bytes": 5}


async def test_a_cancelled_handle_tells_the_method() -> None:
    handle = Handle()
    handle.cancelled = True
    with pytest.raises(Cancelled):
        handle.progress("init")
