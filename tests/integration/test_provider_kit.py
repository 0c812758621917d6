"""The kit for providers fails where a promise is broken, and says what to change."""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from inspect import signature
from pathlib import Path
from typing import ClassVar

import anyio
import pytest
from pydantic import BaseModel, Field, field_validator
from tests.integration.boxes import PAUSES, BoxConfig, Boxes, log

from enopax_core.errors import PermanentError
from enopax_core.provider import (
    Action,
    LogLine,
    Metric,
    Observed,
    Operation,
    Outcome,
    Plan,
    Resource,
)
from enopax_core.testing import ProviderConformance
from enopax_core.testing.bench import Bench
from enopax_core.testing.loop import BEAT

PASSWORD = "correct-horse-battery"


class TestBoxes(ProviderConformance):
    """One that keeps them all passes."""

    config = BoxConfig(label="red", size=2, password=PASSWORD)
    changed = BoxConfig(label="blue", size=5, password=PASSWORD)

    def plugin(self, data_dir: Path) -> object:
        return Boxes(data_dir)

    def backend(self, data_dir: Path, id: str) -> object:
        return super().backend(data_dir, id), [path.read_text() for path in sorted(data_dir.rglob(f"{id}/*.json"))]


# ── Providers that each break one promise ─────────────────────────────────────────────────────────────────────────────


class StricterModel(BoxConfig):
    """Refuses what its schema accepts."""

    @field_validator("size")
    @classmethod
    def _even(cls, size: int) -> int:
        if size % 2:
            raise ValueError("must be even")
        return size


class StricterSchema(BoxConfig):
    """Accepts what its schema refuses."""

    size: int = Field(default=3, json_schema_extra={"maximum": 9})


class BadDefault(BoxConfig):
    """Has a default that nobody could send."""

    size: int = Field(default=0, ge=1)


class BadExample(BoxConfig):
    """Has an example that nobody could send."""

    label: str = Field(default="plain", max_length=5, examples=["fragile"])


def configured(model: type[BaseModel]) -> type[Boxes]:
    """Boxes with another configuration."""
    return type(f"Boxes{model.__name__}", (Boxes,), {"config": model})


class BadPreset(Boxes):
    plans = (Plan(id="boxes-large", preset={"size": 99}),)


class NeverReady(Boxes):
    def status(self, resource: Resource[BoxConfig]) -> Observed:
        return Observed(health="degraded", message="lukewarm")


class MadeTwice(Boxes):
    """A second attempt makes a second folder."""

    async def provision(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        self._write(resource)
        (self.live / f"{resource.id}-{secrets.token_hex(4)}").mkdir()
        operation.progress("verify", "Looking at it")
        return Outcome()


class FailsOnWhatIsThere(Boxes):
    """A second attempt stumbles over the first one."""

    async def provision(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        self._folder(resource).mkdir(parents=True)
        self._write(resource)
        return Outcome()


class AnotherToken(Boxes):
    """Gives out a token, and after a crash another one."""

    async def provision(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        self._write(resource)
        outcome = Outcome(credentials={"token": secrets.token_hex(16)})
        await operation.announce(outcome)
        return outcome


class NothingUpdated(Boxes):
    """Says that it has changed what it has not."""

    def update(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        return Outcome()


class EverLonger(Boxes):
    """Each update leaves something behind."""

    def update(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        (self._folder(resource) / f"{resource.id}-{secrets.token_hex(4)}").touch()
        return super().update(operation, resource)


class FailsOnSecondUpdate(Boxes):
    """An update that was killed cannot be finished."""

    def update(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        if json.loads((self._folder(resource) / "box.json").read_text())["label"] == resource.config.label:
            raise PermanentError("There is nothing to change.")
        return super().update(operation, resource)


class DeletesOnce(Boxes):
    """Cannot delete what is gone."""

    def delete(self, operation: Operation, resource: Resource[BoxConfig]) -> None:
        self.kept.mkdir(exist_ok=True)
        self._folder(resource).rename(self.kept / resource.id)


class ForgetsHalfADelete(Boxes):
    """Takes half a delete for a whole one."""

    def delete(self, operation: Operation, resource: Resource[BoxConfig]) -> None:
        file = self._folder(resource) / "box.json"
        if file.exists():
            file.unlink()
            operation.progress("delete", "Folding the box")
            self._folder(resource).rmdir()


class PurgesOnce(Boxes):
    """Cannot purge what is gone."""

    def purge(self, operation: Operation, resource: Resource[BoxConfig]) -> None:
        for file in (self.kept / resource.id).iterdir():
            file.unlink()
        (self.kept / resource.id).rmdir()


class LeavesHalf(Boxes):
    """A provision that was cancelled leaves what delete does not know."""

    async def provision(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        draft = self.live / f"{resource.id}.draft"
        draft.mkdir(parents=True, exist_ok=True)
        operation.progress("provision", "Making it")
        draft.rmdir()
        return await super().provision(operation, resource)


class RestoresNothing(Boxes):
    """Says that it has brought back what it has not."""

    def restore(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        self._write(resource)
        (self._folder(resource) / f"{resource.id}.new").touch()
        return Outcome()


class RestoresWithAnotherToken(Boxes):
    """People who held a token are locked out."""

    def restore(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        super().restore(operation, resource)
        return Outcome(credentials={"token": secrets.token_hex(16)})


class RestoresOnce(Boxes):
    """A restore that was killed cannot be finished."""

    def restore(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        if not (self.kept / resource.id).exists():
            raise PermanentError("There is nothing to restore.")
        return super().restore(operation, resource)


class PurgesNothing(Boxes):
    """Says that it has freed what it has not."""

    def purge(self, operation: Operation, resource: Resource[BoxConfig]) -> None:
        return None


class RemembersStatus(Boxes):
    """Answers from what it was told, not from what there is."""

    def status(self, resource: Resource[BoxConfig]) -> Observed:
        return Observed(health="ready" if resource.state or resource.applied is None else "missing")


class StumblesOverMissing(Boxes):
    """Fails instead of saying that nothing is there."""

    def status(self, resource: Resource[BoxConfig]) -> Observed:
        return Observed(health="ready", config=json.loads((self._folder(resource) / "box.json").read_text()))


class ForgetsInventory(Boxes):
    def inventory(self) -> Iterable[str]:
        return []


class ForgetsWhatItKeeps(Boxes):
    def inventory(self) -> Iterable[str]:
        return [path.name for path in self.live.iterdir()]


class PlainNumbers(Boxes):
    def metrics(self, resource: Resource[BoxConfig]) -> Mapping[str, Metric]:
        return {"size": 3}  # type: ignore[dict-item]  # what is wrong with it


class NotANumber(Boxes):
    def metrics(self, resource: Resource[BoxConfig]) -> Mapping[str, Metric]:
        return {"size": Metric(value=float("nan"), unit="litres")}


class OddName(Boxes):
    def metrics(self, resource: Resource[BoxConfig]) -> Mapping[str, Metric]:
        return {"Size in litres": Metric(value=3, unit="litres")}


class NoUnit(Boxes):
    def metrics(self, resource: Resource[BoxConfig]) -> Mapping[str, Metric]:
        return {"size": Metric(value=3, unit="")}


class NewestFirst(Boxes):
    def logs(self, resource: Resource[BoxConfig]) -> Sequence[LogLine]:
        return [LogLine(time=datetime(2026, 1, day, tzinfo=UTC), message="opened") for day in (2, 1)]


class FollowsFromTheEnd(Boxes):
    async def follow(self, resource: Resource[BoxConfig]) -> AsyncGenerator[LogLine, None]:
        return
        yield LogLine(time=datetime(2026, 1, 1, tzinfo=UTC), message="opened")


class FollowsAtOnce(Boxes):
    def follow(self, resource: Resource[BoxConfig]) -> AsyncGenerator[LogLine, None]:
        return [LogLine(time=datetime(2026, 1, 1, tzinfo=UTC), message="opened")]  # type: ignore[return-value]  # what is tested


class PreviewsByDoing(Boxes):
    def preview(self, resource: Resource[BoxConfig]) -> Sequence[Action]:
        self._write(resource)
        return super().preview(resource)


class SameToken(Boxes):
    def rotate(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        return Outcome(credentials=resource.credentials)


class TokenByAnotherName(Boxes):
    def rotate(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        return Outcome(credentials={"newToken": secrets.token_hex(16)})


class SuspendsOnce(Boxes):
    def resume(self, operation: Operation, resource: Resource[BoxConfig]) -> None:
        (self._folder(resource) / "closed").unlink()


class Tells(Boxes):
    """Base of those that tell a secret during an update."""

    def update(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        super().update(operation, resource)
        return self._tell(operation, resource) or Outcome()

    def _tell(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome | None:
        raise NotImplementedError


class InProgress(Tells):
    def _tell(self, operation: Operation, resource: Resource[BoxConfig]) -> None:
        operation.progress("configure", f"Using {resource.credentials['token']}")


class InLog(Tells):
    def _tell(self, operation: Operation, resource: Resource[BoxConfig]) -> None:
        log.debug("using %s", resource.config.password)


class InError(Tells):
    def _tell(self, operation: Operation, resource: Resource[BoxConfig]) -> None:
        raise PermanentError(f"The token {resource.credentials['token']} was refused.")


class InUnforeseenError(Tells):
    def _tell(self, operation: Operation, resource: Resource[BoxConfig]) -> None:
        raise ValueError(f"wrong password {resource.config.password}")


class InAccess(Tells):
    def _tell(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        return Outcome(access=f"box://:{resource.config.password}@here")


class InConnection(Tells):
    def _tell(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        return Outcome(connection={"url": f"box://:{resource.credentials['token']}@here"})


class InMessage(Tells):
    def _tell(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        return Outcome(message=f"Your box is on {resource.state['shelf']}.")


class InArguments(Tells):
    """Starts a process that everybody can look at; the test ends it."""

    children: ClassVar[list[subprocess.Popen[bytes]]] = []

    def _tell(self, operation: Operation, resource: Resource[BoxConfig]) -> None:
        command = [sys.executable, "-c", "import sys; sys.stdin.read()", str(resource.config.password)]
        self.children.append(subprocess.Popen(command, stdin=subprocess.PIPE))


class PlainModel(BaseModel):
    """Shows its secrets, which a model based on `Config` does not."""

    label: str = "plain"
    size: int = 3
    password: str | None = Field(default=None, json_schema_extra={"writeOnly": True})


class Stubborn(Boxes):
    """Goes on although it was cancelled."""

    async def provision(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        for stage in ("allocate", "provision"):
            with contextlib.suppress(Exception):
                operation.progress(stage, "Making it")
        return await super().provision(operation, resource)


class Blocks(Boxes):
    """Holds up every other request."""

    async def provision(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        for _ in range(PAUSES):
            time.sleep(BEAT)  # noqa: ASYNC251  # what is wrong with it
        return await super().provision(operation, resource)


class NeverEnds(Boxes):
    """Takes longer than anybody waits."""

    async def provision(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        operation.progress("verify", "Waiting for ever")
        await anyio.sleep_forever()
        return Outcome()


# ── The kit on each of them ───────────────────────────────────────────────────────────────────────────────────────────

SCHEMA = "the_schema_accepts_what_the_model_accepts"
BROKEN: Sequence[tuple[type[Boxes], str, str]] = [
    (configured(StricterModel), SCHEMA, "schema of 'size' accepts 1, but the model refuses"),
    (
        configured(StricterSchema),
        SCHEMA,
        "schema of 'size' refuses 10, but the model accepts",
    ),
    (configured(BadDefault), SCHEMA, "The default of 'size' does not fit"),
    (configured(BadExample), SCHEMA, "The example of 'label' does not fit"),
    (BadPreset, SCHEMA, "The preset of the plan boxes-large does not fit"),
    (NeverReady, "a_provisioned_resource_is_ready", "status says 'degraded'.*lukewarm"),
    (MadeTwice, "provision_survives_a_kill_at_every_step", r"killed at progress\('verify'\).*not made a second time"),
    (FailsOnWhatIsThere, "provision_survives_a_kill_at_every_step", "killed after it had returned.*take over what is there"),
    (AnotherToken, "provision_survives_a_kill_at_every_step", r"Take over `resource.credentials`"),
    (NothingUpdated, "update_converges", "After update, the backend is not as asked for.*label"),
    (EverLonger, "update_converges", "update ran again with the same configuration.*instead of"),
    (FailsOnSecondUpdate, "update_survives_a_kill_at_every_step", "update was killed.*could not be finished"),
    (DeletesOnce, "delete_is_repeatable", "delete failed on what it has deleted already.*no error"),
    (ForgetsHalfADelete, "delete_survives_a_kill_at_every_step", r"delete was killed at progress\('delete'\).*still lists"),
    (LeavesHalf, "half_a_provision_can_be_deleted", r"cancelled at progress\('provision'\).*free everything"),
    (RestoresNothing, "restore_brings_back_what_delete_kept", "After a deleted resource was restored, the backend holds"),
    (RestoresWithAnotherToken, "restore_brings_back_what_delete_kept", "restore changed credentials"),
    (RestoresOnce, "restore_survives_a_kill_at_every_step", "restore was killed.*could not be finished"),
    (PurgesNothing, "purge_frees_everything_and_is_repeatable", "inventory still lists the resource"),
    (PurgesOnce, "purge_frees_everything_and_is_repeatable", "purge failed on what it has freed already"),
    (RemembersStatus, "status_tells_when_the_backend_is_gone", "do not answer from memory"),
    (StumblesOverMissing, "status_tells_when_the_backend_is_gone", "status raised an error.*health='missing'"),
    (ForgetsInventory, "inventory_lists_what_takes_up_room", "does not list a resource that was provisioned"),
    (ForgetsWhatItKeeps, "inventory_lists_what_takes_up_room", "whose data is kept"),
    (PlainNumbers, "metrics_are_measured_values", r"must be a Metric\(value"),
    (NotANumber, "metrics_are_measured_values", "leave out what cannot be measured"),
    (OddName, "metrics_are_measured_values", "must be named by a word"),
    (NoUnit, "metrics_are_measured_values", "needs a unit"),
    (NewestFirst, "logs_are_lines_oldest_first", "the oldest line first"),
    (FollowsFromTheEnd, "following_begins_with_the_latest_lines", "must begin with the latest lines"),
    (FollowsAtOnce, "following_begins_with_the_latest_lines", "must be an asynchronous generator"),
    (PreviewsByDoing, "preview_changes_nothing", "After preview was called for a new resource"),
    (SameToken, "rotate_issues_new_credentials", "left the credentials as they were"),
    (TokenByAnotherName, "rotate_issues_new_credentials", "by the same names"),
    (SuspendsOnce, "suspend_and_resume_are_repeatable", "resume failed"),
    (InProgress, "secrets_are_not_shown", "credentials.token can be read in the event"),
    (InLog, "secrets_are_not_shown", "config.password can be read in the log of boxes"),
    (InError, "secrets_are_not_shown", "credentials.token can be read in .*update"),
    (InUnforeseenError, "secrets_are_not_shown", "config.password can be read in the log of enopax_core"),
    (InAccess, "secrets_are_not_shown", "config.password can be read in `access`"),
    (InConnection, "secrets_are_not_shown", "credentials.token can be read in `connection`"),
    (InMessage, "secrets_are_not_shown", "state.shelf can be read in the resource"),
    (InArguments, "secrets_are_not_shown", "config.password can be read in the arguments of a process"),
    (configured(PlainModel), "secrets_are_not_shown", r"config.password can be read in the repr.*Field\(repr=False\)"),
    (Stubborn, "a_cancelled_change_ends", r"at progress\('allocate'\), but went on \(at progress\('provision'\)\)"),
    (Blocks, "nothing_blocks_the_event_loop", "(?s)Make it a plain `def`.*time.sleep"),
    (NeverEnds, "a_provisioned_resource_is_ready", r"had not ended after 0 s; it was at '\w+' \("),
]


class Kit(TestBoxes):
    """The kit of an author whose provider is one of those above."""

    __test__ = False
    provider: ClassVar[type[Boxes]] = Boxes

    def plugin(self, data_dir: Path) -> object:
        return self.provider(data_dir)


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    yield
    while InArguments.children:
        with InArguments.children.pop() as child:
            child.kill()


@pytest.mark.blocking
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("provider", "promise", "message"), BROKEN, ids=[f"{provider.__name__}-{promise}" for provider, promise, _ in BROKEN]
)
async def test_a_broken_promise_is_found_and_explained(
    provider: type[Boxes], promise: str, message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kit = type("TestOne", (Kit,), {"provider": provider})()
    bench = Bench(tmp_path / "data", kit.plugin, patience=0.3 if provider is NeverEnds else 60)
    test = getattr(kit, f"test_{promise}")
    wanted = {name: value for name, value in {"bench": bench, "caplog": caplog}.items() if name in signature(test).parameters}
    with pytest.raises(pytest.fail.Exception, match=message):
        await test(**wanted)


def test_every_promise_of_the_kit_is_broken_by_a_provider() -> None:
    promises = {name.removeprefix("test_") for name in dir(ProviderConformance) if name.startswith("test_")}
    assert promises - {promise for _, promise, _ in BROKEN} == set()
