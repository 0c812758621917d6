"""The example provider through a core of its own, as an author would try it first."""

from __future__ import annotations

from pathlib import Path

import pytest

import enopax_example
from enopax_core import Core, Settings
from enopax_core.records.operation import State
from enopax_core.records.principal import INSTALLATION
from enopax_core.records.resource import Status
from enopax_core.testing import Scenario
from enopax_example import ExampleProvider

PLACE = {"organisationName": "Acme", "projectName": "Web"}


@pytest.mark.anyio
async def test_a_greeting_is_provisioned_changed_and_deleted(tmp_path: Path) -> None:
    async with Core(Settings(data_dir=tmp_path), plugins=[enopax_example]) as core:
        accepted = await core.resources.provision(INSTALLATION, "example", {"name": "one", **PLACE})
        assert accepted.operation is not None
        ended = await core.operations.wait(accepted.operation.id, 10)
        assert ended is not None
        assert ended.state is State.SUCCEEDED
        id = accepted.resource.id
        assert (tmp_path / "example" / f"{id}.txt").read_text() == "hello"

        changed = await core.resources.update(INSTALLATION, "example", id, {"message": "goodbye"})
        assert changed.operation is not None
        await core.operations.wait(changed.operation.id, 10)
        seen = await core.resources.find(INSTALLATION, "example", id)
        assert (seen.record.status, seen.record.config["message"]) == (Status.ACTIVE, "goodbye")
        assert (await core.resources.metrics(INSTALLATION, "example", id))["size"].value == len("goodbye")

        deleted = await core.resources.delete(INSTALLATION, "example", id)
        assert deleted.operation is not None
        await core.operations.wait(deleted.operation.id, 10)
        assert (await core.resources.find(INSTALLATION, "example", id)).record.status is Status.DELETED
        assert not list((tmp_path / "example").iterdir())


@pytest.mark.anyio
async def test_attempts_that_fail_are_repeated(tmp_path: Path) -> None:
    async with Core(Settings(data_dir=tmp_path), plugins=[enopax_example]) as core:
        accepted = await core.resources.provision(INSTALLATION, "example", {"name": "one", "fail": 2, **PLACE})
        assert accepted.operation is not None
        ended = await core.operations.wait(accepted.operation.id, 30)
        assert ended is not None
        assert (ended.state, ended.attempt) == (State.SUCCEEDED, 3)


@pytest.mark.anyio
async def test_an_update_says_goodbye(tmp_path: Path) -> None:
    scenario = Scenario(ExampleProvider(tmp_path))
    made = await scenario.run("provision", scenario.new({"message": "hello"}))
    changed = await scenario.run("update", made.resource, {"message": "goodbye"})
    assert changed.progress[0].message == "Writing the new message"
    assert (await scenario.run("status", changed.resource)).value.config == {"message": "goodbye"}
