"""The example provider: the page to copy from. Each resource is a small file with a greeting."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
from pydantic import Field

from enopax_core import Host, hookimpl
from enopax_core.provider import Config, Metric, Observed, Operation, Outcome, Plan, Provider, Resource, TemporaryError


class ExampleConfig(Config):
    """What a customer may choose. It draws the form, the command line's options and the API's schema."""

    message: str = Field(default="hello", max_length=1000, description="What the resource says.")
    delay: float = Field(default=0, ge=0, le=60, description="Seconds that provisioning takes.")
    fail: int = Field(default=0, ge=0, le=10, description="How many attempts fail before one succeeds.")


class ExampleProvider(Provider[ExampleConfig]):
    """Keeps a greeting in a file named after the resource's id."""

    name, endpoint = "example", "example"
    description = "A greeting in a file, to learn from."
    plans = (Plan(id="example-free", name="Free", description="Everything the example offers."),)
    attempts = 12  # more than `fail` allows, so that it always ends well

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def provision(self, operation: Operation, resource: Resource[ExampleConfig]) -> Outcome:
        for stage in ("allocate", "configure", "provision", "verify"):
            operation.progress(stage, f"Pretending to {stage}")
            await anyio.sleep(resource.config.delay / 4)
        self._write(operation, resource)
        # After a crash this runs again: what was given out before must stay, so the token is kept if there is one.
        token = resource.credentials.get("token") or secrets.token_urlsafe(16)
        url = f"example://{resource.id}"
        return Outcome(access=url, connection={"url": url}, credentials={"token": token})

    async def update(self, operation: Operation, resource: Resource[ExampleConfig]) -> Outcome:
        operation.progress("configure", "Writing the new message")
        await anyio.sleep(resource.config.delay)
        self._write(operation, resource)
        return Outcome()

    async def rotate(self, operation: Operation, resource: Resource[ExampleConfig]) -> Outcome:
        return Outcome(credentials={"token": secrets.token_urlsafe(16)})

    def delete(self, operation: Operation, resource: Resource[ExampleConfig]) -> None:
        self._file(resource.id).unlink(missing_ok=True)

    def status(self, resource: Resource[ExampleConfig]) -> Observed:
        file = self._file(resource.id)
        if not file.exists():
            return Observed(health="missing", message="The file is gone.")
        return Observed(health="ready", config={"message": file.read_text("utf-8")})

    def metrics(self, resource: Resource[ExampleConfig]) -> Mapping[str, Metric]:
        size = self._file(resource.id).stat().st_size
        return {"size": Metric(value=size, unit="bytes", help="Length of the message.")}

    def inventory(self) -> Iterable[str]:
        return [file.stem for file in self._directory.glob("*.txt")]

    def _write(self, operation: Operation, resource: Resource[ExampleConfig]) -> None:
        if operation.attempt <= resource.config.fail:
            raise TemporaryError(f"Attempt {operation.attempt} fails, as `fail` asks.", retry_after=timedelta(0))
        self._directory.mkdir(parents=True, exist_ok=True)
        self._file(resource.id).write_text(resource.config.message, "utf-8")

    def _file(self, id: str) -> Path:
        return self._directory / f"{id}.txt"


@hookimpl
def enopax_providers(host: Host) -> Iterable[Provider[Any]]:
    """Announce the provider; the data directory lends it a place."""
    return [ExampleProvider(host.data_dir / "example")]


@hookimpl
def enopax_backup(host: Host, folder: Path) -> None:
    """Put what lies outside the ledger into the backup."""
    for file in (host.data_dir / "example").glob("*.txt"):
        shutil.copy2(file, folder)


@hookimpl
def enopax_restore(host: Host, folder: Path) -> None:
    """Take it back."""
    folder.rename(host.data_dir / "example")
