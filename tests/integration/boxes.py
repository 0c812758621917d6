"""A provider that keeps every promise, for those that each break one: `boxes/<id>/box.json`, moved to `kept` when deleted."""

from __future__ import annotations

import json
import logging
import secrets
import shutil
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
from pydantic import Field

from enopax_core.errors import PermanentError
from enopax_core.provider import Action, Config, LogLine, Metric, Observed, Operation, Outcome, Plan, Provider, Resource

log = logging.getLogger("boxes")
PAUSES = 15
"""How often one sleeps for a beat that holds up the loop: longer than a kit allows.

Counted, because the watch counts too: a machine that stands still meanwhile changes neither of the two."""


class BoxConfig(Config):
    """What a box is like."""

    label: str = Field(default="plain", max_length=40, examples=["fragile"])
    size: int = Field(default=3, ge=1, le=9)
    password: str | None = Field(default=None, json_schema_extra={"writeOnly": True})


class Boxes(Provider[BoxConfig]):
    """Keeps every promise."""

    name, endpoint = "boxes", "boxes"
    plans = (Plan(id="boxes-free", preset={"size": 4}),)
    retention = timedelta(days=1)
    attempts = 2

    def __init__(self, directory: Path) -> None:
        self.live, self.kept = directory / "boxes", directory / "kept"

    async def provision(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        operation.progress("allocate", "Finding a place")
        address = f"box://{resource.id}"
        token = resource.credentials.get("token") or secrets.token_hex(16)
        await operation.announce(Outcome(access=address, credentials={"token": token}))

        async def make() -> str:
            self._write(resource)
            return "made"

        await operation.step("make", make)
        operation.progress("verify", "Looking at it")
        return Outcome(
            access=address, connection={"box": address}, credentials={"token": token}, state={"shelf": "somewhere-private"}
        )

    def update(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        operation.progress("configure", "Writing a new label")
        self._write(resource)
        return Outcome()

    def delete(self, operation: Operation, resource: Resource[BoxConfig]) -> None:
        operation.progress("delete", "Putting it away")
        if self._folder(resource).exists():
            self.kept.mkdir(parents=True, exist_ok=True)
            self._folder(resource).rename(self.kept / resource.id)

    def restore(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        operation.progress("restore", "Fetching it back")
        if (self.kept / resource.id).exists():
            (self.kept / resource.id).rename(self._folder(resource))
        if not self._folder(resource).exists():
            raise PermanentError("Nothing is left.")
        return Outcome()

    def purge(self, operation: Operation, resource: Resource[BoxConfig]) -> None:
        operation.progress("purge", "Throwing it away")
        shutil.rmtree(self.kept / resource.id, ignore_errors=True)

    def rotate(self, operation: Operation, resource: Resource[BoxConfig]) -> Outcome:
        return Outcome(credentials={"token": secrets.token_hex(16)})

    def suspend(self, operation: Operation, resource: Resource[BoxConfig]) -> None:
        (self._folder(resource) / "closed").touch()

    def resume(self, operation: Operation, resource: Resource[BoxConfig]) -> None:
        (self._folder(resource) / "closed").unlink(missing_ok=True)

    def status(self, resource: Resource[BoxConfig]) -> Observed:
        try:
            found = json.loads((self._folder(resource) / "box.json").read_text())
        except FileNotFoundError:
            return Observed(health="missing")
        return Observed(health="ready", config=found)

    def preview(self, resource: Resource[BoxConfig]) -> Sequence[Action]:
        return [Action(action="create" if resource.applied is None else "update", what=resource.name)]

    def metrics(self, resource: Resource[BoxConfig]) -> Mapping[str, Metric]:
        return {"size": Metric(value=resource.config.size, unit="litres")}

    def logs(self, resource: Resource[BoxConfig]) -> Sequence[LogLine]:
        return [LogLine(time=datetime(2026, 1, day, tzinfo=UTC), message="opened") for day in (1, 2)]

    async def follow(self, resource: Resource[BoxConfig]) -> AsyncGenerator[LogLine, None]:
        for line in self.logs(resource):
            yield line
        await anyio.sleep_forever()

    def inventory(self) -> Iterable[str]:
        return [path.name for folder in (self.live, self.kept) if folder.exists() for path in folder.iterdir()]

    def _folder(self, resource: Resource[Any]) -> Path:
        return self.live / resource.id

    def _write(self, resource: Resource[BoxConfig]) -> None:
        self._folder(resource).mkdir(parents=True, exist_ok=True)
        content = {"label": resource.config.label, "size": resource.config.size}
        (self._folder(resource) / "box.json").write_text(json.dumps(content))
