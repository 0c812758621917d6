"""The engine alone: operations a second with a provider that does nothing, on SQLite with synchronous FULL."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import uvloop
from common import Line, folder, report

from enopax_core import Core, Provider, Settings
from enopax_core.provider import Config, Observed, Operation, Outcome, Resource
from enopax_core.records.principal import INSTALLATION

NUMBER, AT_ONCE = 4000, 64


class Nothing(Config):
    """Nothing to choose."""


class Idle(Provider[Nothing]):
    """Does nothing, at once."""

    name, endpoint = "idle", "idle"

    async def provision(self, operation: Operation, resource: Resource[Nothing]) -> Outcome:
        return Outcome()

    async def update(self, operation: Operation, resource: Resource[Nothing]) -> Outcome:
        return Outcome()

    async def status(self, resource: Resource[Nothing]) -> Observed:
        return Observed(health="ready")

    async def delete(self, operation: Operation, resource: Resource[Nothing]) -> None:
        return None


async def measure() -> float:
    """Operations a second from acceptance to the end."""
    with folder() as root:
        async with Core(Settings(data_dir=root / "data", workers=AT_ONCE), plugins=[Idle()]) as core:
            slots = asyncio.Semaphore(AT_ONCE)

            async def one(number: int) -> None:
                body: dict[str, Any] = {"name": f"n{number}", "organisationName": "Bench", "projectName": "Bench"}
                async with slots:
                    accepted = await core.resources.provision(INSTALLATION, "idle", body)
                    if accepted.operation is not None:
                        await core.operations.pause(accepted.operation.id, 60)

            await one(-1)
            began = time.perf_counter()
            await asyncio.gather(*(one(number) for number in range(NUMBER)))
            return NUMBER / (time.perf_counter() - began)


def main() -> None:
    """Measure and report."""
    rate = uvloop.run(measure())
    report("engine", [Line(what="operations a second", measured=rate, unit="/s", aim="at least 800", met=rate >= 800)])


if __name__ == "__main__":
    main()
