"""A provider for kits that need one: a file for each resource."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from enopax_core.provider.base import Provider
from enopax_core.provider.config import Config
from enopax_core.provider.values import Observed, Operation, Outcome, Plan, Resource

ENDPOINT = "kit-sample"


class SampleConfig(Config):
    """What can be changed."""

    text: str = Field(default="hello", max_length=100)


class Sample(Provider[SampleConfig]):
    """Keeps a text."""

    name, endpoint = "sample", ENDPOINT
    plans = (Plan(id="sample-free"),)

    def __init__(self, data_dir: Path) -> None:
        self._directory = data_dir / ENDPOINT

    def provision(self, operation: Operation, resource: Resource[SampleConfig]) -> Outcome:
        """Write it."""
        operation.progress("provision", "Writing")
        self._directory.mkdir(exist_ok=True)
        (self._directory / resource.id).write_text(resource.config.text)
        return Outcome(access=f"sample://{resource.id}")

    update = provision

    def delete(self, operation: Operation, resource: Resource[SampleConfig]) -> None:
        """Remove it."""
        (self._directory / resource.id).unlink(missing_ok=True)

    def status(self, resource: Resource[SampleConfig]) -> Observed:
        """Look."""
        return Observed(health="ready" if (self._directory / resource.id).exists() else "missing")

    def inventory(self) -> Iterable[str]:
        """All there are."""
        return [path.name for path in self._directory.glob("*")]
