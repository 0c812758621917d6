"""Providers whose every step a test controls: it fails, waits or tells when the test says so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
from pydantic import BaseModel, Field

from enopax_core.provider import (
    Action,
    Config,
    LogLine,
    Metric,
    Observed,
    Operation,
    Outcome,
    Plan,
    Price,
    Provider,
    Resource,
    custom_endpoint,
    scheduled,
)


class Measures(Config):
    """A part of a configuration that is an object itself: its schema is a reference."""

    width: int = Field(default=80, ge=1)


class ShelfConfig(Config):
    """What a shelf is like."""

    boards: int = Field(default=3, ge=1, le=20)
    colour: str = Field(default="white", json_schema_extra={"x-effect": "restart"})
    password: str | None = Field(default=None, json_schema_extra={"writeOnly": True})
    measures: Measures = Measures()


class Book(BaseModel):
    """Body of a custom endpoint."""

    title: str = Field(min_length=1)
    pages: int = 0


class Workshop:
    """The backend of the providers here, and what a test has arranged."""

    def __init__(self) -> None:
        self.built: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str]] = []
        self.failures: defaultdict[str, list[Exception]] = defaultdict(list)
        self.gates: dict[str, anyio.Event] = {}
        self.entered: defaultdict[str, anyio.Event] = defaultdict(anyio.Event)
        self.steps: list[str] = []
        self.observed: dict[str, Observed] = {}
        self.strangers: list[str] = []
        self.tokens = 0

    def close(self, hook: str) -> anyio.Event:
        """Let the next calls of a hook wait until the returned event is set."""
        self.gates[hook] = anyio.Event()
        self.entered.pop(hook, None)
        return self.gates[hook]

    def called(self, hook: str) -> int:
        """How often a hook was called."""
        return sum(name == hook for name, _ in self.calls)

    def note(self, hook: str, id: str) -> None:
        """A hook was called; raises what the test has arranged."""
        self.calls.append((hook, id))
        if self.failures[hook]:
            raise self.failures[hook].pop(0)

    async def visit(self, hook: str, id: str) -> None:
        """The same for an async hook, behind its gate."""
        self.entered[hook].set()
        if hook in self.gates:
            await self.gates[hook].wait()
        self.note(hook, id)

    def token(self) -> str:
        """A secret that was never given out before."""
        self.tokens += 1
        return f"token-{self.tokens}"


class Shelf(Provider[ShelfConfig]):
    """Declares everything; keeps deleted data for a week."""

    name, endpoint = "shelf", "shelf"
    description = "Shelves for tests."
    plans = (
        Plan(id="shelf-free", name="Free", limits={"boards": 5}),
        Plan(id="shelf-oak", name="Oak", price=Price(amount="8.00", currency="USD"), preset={"colour": "oak"}),
    )
    retention = timedelta(days=7)
    attempts = 3
    timeout = timedelta(seconds=60)

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop

    async def provision(self, operation: Operation, resource: Resource[ShelfConfig]) -> Outcome:
        """Build."""
        operation.progress("provision", "Sawing")
        await self.workshop.visit("provision", resource.id)
        self.workshop.built[resource.id] = {"boards": resource.config.boards, "away": False, "state": dict(resource.state)}
        return self._outcome(resource, {"token": self.workshop.token()})

    async def status(self, resource: Resource[ShelfConfig]) -> Observed:
        """Look."""
        await self.workshop.visit("status", resource.id)
        if resource.id in self.workshop.observed:
            return self.workshop.observed[resource.id]
        return Observed(health="ready" if resource.id in self.workshop.built else "missing")

    async def update(self, operation: Operation, resource: Resource[ShelfConfig]) -> Outcome:
        """Rebuild."""
        await self.workshop.visit("update", resource.id)
        self.workshop.built[resource.id]["boards"] = resource.config.boards
        return self._outcome(resource)

    async def delete(self, operation: Operation, resource: Resource[ShelfConfig]) -> None:
        """Put away."""
        await self.workshop.visit("delete", resource.id)
        if resource.id in self.workshop.built:
            self.workshop.built[resource.id]["away"] = True

    async def restore(self, operation: Operation, resource: Resource[ShelfConfig]) -> Outcome:
        """Fetch back."""
        await self.workshop.visit("restore", resource.id)
        self.workshop.built[resource.id]["away"] = False
        return self._outcome(resource)

    async def purge(self, operation: Operation, resource: Resource[ShelfConfig]) -> None:
        """Burn."""
        await self.workshop.visit("purge", resource.id)
        self.workshop.built.pop(resource.id, None)

    async def rotate(self, operation: Operation, resource: Resource[ShelfConfig]) -> Outcome:
        """Change the lock."""
        await self.workshop.visit("rotate", resource.id)
        return Outcome(credentials={"token": self.workshop.token()})

    async def suspend(self, operation: Operation, resource: Resource[ShelfConfig]) -> None:
        """Lock."""
        await self.workshop.visit("suspend", resource.id)

    async def resume(self, operation: Operation, resource: Resource[ShelfConfig]) -> None:
        """Unlock."""
        await self.workshop.visit("resume", resource.id)

    def preview(self, resource: Resource[ShelfConfig]) -> Sequence[Action]:
        """Say what would be built."""
        self.workshop.note("preview", resource.id)
        return [Action(action="create", what=f"{resource.config.boards} boards", detail=resource.config.colour)]

    def metrics(self, resource: Resource[ShelfConfig]) -> Mapping[str, Metric]:
        """Measure."""
        self.workshop.note("metrics", resource.id)
        return {"boards": Metric(value=resource.config.boards, unit="boards", help="Boards.")}

    def logs(self, resource: Resource[ShelfConfig]) -> Sequence[LogLine]:
        """Tell."""
        self.workshop.note("logs", resource.id)
        return [LogLine(time=datetime(2026, 1, 1, tzinfo=UTC), message="built")]

    def inventory(self) -> Sequence[str]:
        """Everything that stands here."""
        self.workshop.note("inventory", "")
        return [*self.workshop.built, *self.workshop.strangers]

    @custom_endpoint("GET", "/contents", permission="read")
    async def contents(self, resource: Resource[ShelfConfig]) -> dict[str, int]:
        """Count the books."""
        return {"books": len(self.workshop.built[resource.id].get("books", []))}

    @custom_endpoint("POST", "/books", permission="operate", body_limit=200)
    def put(self, resource: Resource[ShelfConfig], request: Book) -> dict[str, str]:
        """Put a book on the shelf, at once."""
        self.workshop.note("put", resource.id)
        self.workshop.built[resource.id].setdefault("books", []).append(request.title)
        return {"title": request.title}

    @custom_endpoint("POST", "/books/{book}/repair", permission="operate")
    async def repair(self, operation: Operation, resource: Resource[ShelfConfig], book: str, request: Book) -> dict[str, Any]:
        """Repair a book, which takes its time."""
        operation.progress("glue", "Glueing", 50)
        await self.workshop.visit("repair", resource.id)
        return {"repaired": book, "pages": request.pages}

    @custom_endpoint("DELETE", "/books", permission="purge", retry=False, destructive=True)
    async def clear(self, operation: Operation, resource: Resource[ShelfConfig]) -> None:
        """Throw all books away."""
        await self.workshop.visit("clear", resource.id)
        self.workshop.built[resource.id]["books"] = []

    @scheduled(every=timedelta(hours=1))
    async def dust(self, operation: Operation, resource: Resource[ShelfConfig]) -> None:
        """Dust."""
        await self.workshop.visit("dust", resource.id)

    def _outcome(self, resource: Resource[ShelfConfig], credentials: Mapping[str, str] | None = None) -> Outcome:
        address = f"shelf://{resource.organisation_slug}/{resource.id}"
        return Outcome(access=address, connection={"front": address}, credentials=credentials, state={"screws": 4})


class Stool(Provider[Config]):
    """Declares what is mandatory alone, with plain methods; keeps nothing."""

    name, endpoint = "stool", "stool"

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop

    def provision(self, operation: Operation, resource: Resource[Config]) -> Outcome:
        """Build."""
        self.workshop.note("stool.provision", resource.id)
        self.workshop.built[resource.id] = {}
        return Outcome(access=f"stool://{resource.id}", credentials={"token": "wood"})

    def status(self, resource: Resource[Config]) -> Observed:
        """Look."""
        return Observed(health="ready" if resource.id in self.workshop.built else "missing")

    def delete(self, operation: Operation, resource: Resource[Config]) -> None:
        """Take apart."""
        self.workshop.note("stool.delete", resource.id)
        self.workshop.built.pop(resource.id, None)
