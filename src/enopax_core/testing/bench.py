"""A core with the plugin under test on an empty data directory, which a kit opens, kills and opens again."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from enopax_core.clock import utc_now
from enopax_core.core.acceptance import Accepted
from enopax_core.core.core import Core
from enopax_core.engine.calls import Calls
from enopax_core.engine.present import Presenter
from enopax_core.errors import Invalid, ProviderFault
from enopax_core.ledger import resources
from enopax_core.provider.values import Observed, Resource
from enopax_core.records.operation import OperationRecord, Progress, State
from enopax_core.records.principal import INSTALLATION
from enopax_core.records.resource import ResourceRecord
from enopax_core.registry import Registered
from enopax_core.settings import Settings
from enopax_core.testing.handle import Handle
from enopax_core.testing.promise import broken, promise
from enopax_core.testing.schema import listed
from enopax_core.testing.tripwire import Killed, Tripwire
from enopax_core.testing.wire import Config, wire

PLACE = {"organisationName": "Kit", "projectName": "Conformance"}
GLANCE = 0.2  # seconds between looks at an operation that has not ended
MOST_KILLS = 20  # for each type of operation: a provider that reports hundreds of times is killed at some of them

Ask = Callable[["Opened"], Awaitable[Accepted]]
"""Asks an open core for a change."""


class Bench:
    """Everything that outlives a core: the data directory, the clock, and how the plugin is made for each start."""

    def __init__(
        self,
        data_dir: Path,
        plugin: Callable[[Path], object],
        *,
        endpoint: str | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        disabled: Collection[str] = (),
        patience: float = 60.0,
    ) -> None:
        """`settings` by section; `disabled` built-in plugins by name; `patience`: seconds that one change may take."""
        self.data_dir = data_dir
        self.patience = patience
        self.past = timedelta()
        """How far the clock is ahead of the machine's."""
        self._plugin, self._endpoint, self._disabled = plugin, endpoint, tuple(disabled)
        self._settings = {section: dict(values) for section, values in (settings or {}).items()}

    def clock(self) -> datetime:
        """The time the cores live in."""
        return utc_now() + self.past

    @contextlib.asynccontextmanager
    async def open(self, *more: object) -> AsyncIterator[Opened]:
        """A new core on the data directory, with the plugin made anew; `more` plugins beside it."""
        settings = Settings(data_dir=self.data_dir, sections=self._settings, disabled_plugins=self._disabled)
        plugin = self._plugin(self.data_dir)
        core = Core(settings, plugins=[plugin, *more], clock=self.clock)
        try:
            async with core:
                yield Opened(self, core, self._registered(core), plugin)
        except BaseExceptionGroup as group:  # task groups of the core wrap what a test raises; pytest wants it plain
            raise _only(group) from None

    async def count_points(self, type: str, ask: Ask) -> list[int]:
        """The points at which a change can be killed, at most `MOST_KILLS` of them, found by running it once."""
        wire = Tripwire(type)
        async with self.open(wire) as opened:
            await opened.done(await ask(opened))
        last = len(wire.points) - 1
        return sorted({round(number * last / (MOST_KILLS - 1)) for number in range(MOST_KILLS)})

    async def kill(self, type: str, point: int, ask: Ask, *more: object) -> Tripwire:
        """Ask for a change and kill the core at a point of its first attempt; `more` plugins run beside the one under test."""
        wire = Tripwire(type, point)
        with contextlib.suppress(Killed):
            async with self.open(*more, wire) as opened:
                await opened.ended(await ask(opened))
        return wire

    async def kill_everywhere(self, type: str, ask: Ask, check: Callable[[Opened, Tripwire], Awaitable[None]]) -> None:
        """Kill a change at every point, let a new core finish it, and look at what came of it.

        `ask` is called in a new core for each point, and must ask for a change of a resource of its own.
        """
        for point in await self.count_points(type, ask):
            wire = await self.kill(type, point, ask)
            if wire.sprung is None:
                continue  # this time it took fewer steps
            async with self.open() as opened:
                await opened.resumed(wire)
                await check(opened, wire)

    def _registered(self, core: Core) -> Registered:
        if core.registry.problems:
            broken("; ".join(f"The plugin {problem.plugin} was refused: {problem.message}" for problem in core.registry.problems))
        known = {registered.endpoint: registered for registered in core.registry.providers}
        if self._endpoint is not None and self._endpoint in known:
            return known[self._endpoint]
        if self._endpoint is None and len(known) == 1:
            return next(iter(known.values()))
        broken(f"The plugin announces the providers {', '.join(sorted(known)) or '(none)'}: name the one to test as `endpoint`.")


def _has_fault(operation: OperationRecord) -> bool:
    """Further attempts would show nothing new."""
    return (operation.error or {}).get("code") == ProviderFault.code


def _only(error: BaseException) -> BaseException:
    """What a group of one holds."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


class Opened:
    """An open core, with the verbs that kits need, on behalf of the installation itself."""

    def __init__(self, bench: Bench, core: Core, registered: Registered, plugin: object) -> None:
        self.bench, self.core, self.registered, self.plugin = bench, core, registered, plugin
        self.endpoint = registered.endpoint
        self.calls = Calls(registered, anyio.CapacityLimiter(4), core.metrics)

    # ── Asking for changes ────────────────────────────────────────────────────────────────────────────────────────────

    async def ask_provision(self, name: str, config: Config) -> Accepted:
        """Ask for a new resource."""
        try:
            return await self.core.resources.provision(INSTALLATION, self.endpoint, {"name": name, **PLACE, **wire(config)})
        except Invalid as error:
            broken(f"`config` is not valid: {listed(error.faults)}.")

    async def ask_update(self, id: str, config: Config) -> Accepted:
        """Ask for another configuration."""
        return await self.core.resources.update(INSTALLATION, self.endpoint, id, wire(config))

    async def ask_delete(self, id: str, *, purge: bool = False) -> Accepted:
        """Ask for the end of a resource."""
        return await self.core.resources.delete(INSTALLATION, self.endpoint, id, purge=purge)

    async def ask_restore(self, id: str) -> Accepted:
        """Ask for a deleted resource back."""
        return await self.core.resources.restore(INSTALLATION, self.endpoint, id)

    async def ask_rotate(self, id: str) -> Accepted:
        """Ask for new credentials."""
        return await self.core.credentials.rotate(INSTALLATION, self.endpoint, id)

    def life(self, changed: Config | None) -> Iterator[Callable[[str], Awaitable[Accepted]]]:
        """What can be asked of a provisioned resource by its id, as far as the provider offers it, up to its end."""
        if self.registered.has("update") and changed is not None:
            yield partial(self.ask_update, config=changed)
        if self.registered.has("rotate"):
            yield self.ask_rotate
        yield self.ask_delete
        if self.registered.has("restore"):
            yield self.ask_restore
            yield self.ask_delete

    async def ended(self, accepted: Accepted) -> OperationRecord:
        """Wait until a change has ended, however."""
        if accepted.operation is None:
            broken("The core had nothing left to do.")
        return await self.end_of(accepted.operation.id)

    async def done(self, accepted: Accepted) -> ResourceRecord:
        """Wait until a change has ended well; the resource as it then stands."""
        operation = await self.ended(accepted)
        if operation.state is not State.SUCCEEDED:
            broken(f"{operation.type} did not succeed: {self._why(operation)}.")
        return await self._stored(accepted.resource.id) or accepted.resource

    async def provision(self, name: str, config: Config) -> ResourceRecord:
        """Make a resource that works."""
        return await self.done(await self.ask_provision(name, config))

    async def end_of(self, id: str) -> OperationRecord:
        """Wait for the end of an operation; an error that its author did not foresee counts as one."""
        operation: OperationRecord | None = None
        with anyio.move_on_after(self.bench.patience):
            while operation is None or not (operation.state.ended or _has_fault(operation)):
                operation = await self.core.operations.wait(id, GLANCE)
            return operation
        at = Progress() if operation is None else operation.progress
        broken(
            f"{operation.type if operation else id} had not ended after {self.bench.patience:.0f} s; it was at {at.stage!r}"
            f" ({at.percent} %). Raise `patience` if that is how long it takes."
        )

    async def resumed(self, wire: Tripwire) -> None:
        """Wait until a change that was killed has been finished."""
        operation = await self.end_of(wire.operation)
        if operation.state is State.FAILED and (operation.error or {}).get("code") == "worker-lost":
            await self.core.operations.retry(INSTALLATION, operation.id)  # `attempts` allows one alone
            operation = await self.end_of(wire.operation)
        promise(
            operation.state is State.SUCCEEDED,
            f"{operation.type} was killed {wire.sprung} and could not be finished by the next start: {self._why(operation)}."
            " It is called again with the same resource: take over what is there instead of failing on it.",
        )

    # ── Looking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def record(self, id: str) -> ResourceRecord:
        """A resource as the ledger holds it."""
        record = await self._stored(id)
        if record is None:
            broken(f"The resource {id} is gone.")
        return record

    async def _stored(self, id: str) -> ResourceRecord | None:
        return await self.core.ledger.read(partial(resources.get, id=id))

    async def resource(self, record: ResourceRecord) -> Resource[Any]:
        """What the provider's methods get."""
        return await Presenter(self.core.vault, self.core.places.of).resource(record, self.registered)

    async def look(self, record: ResourceRecord) -> Observed:
        """What the provider sees of a backend."""
        return await self.calls(self.calls.hooks.status, resource=await self.resource(record))

    async def inventory(self) -> set[str] | None:
        """Ids that the provider finds in its backend; None: it does not declare `inventory`."""
        if not self.registered.has("inventory"):
            return None
        return set(await self.calls(self.calls.hooks.inventory))

    # ── Behind the core's back ────────────────────────────────────────────────────────────────────────────────────────

    async def take_away(self, resource: Resource[Any]) -> None:
        """Remove a backend while the core believes that it is there."""
        await self.calls(self.calls.hooks.delete, operation=Handle(), resource=resource)
        if self.registered.has("purge"):
            await self.calls(self.calls.hooks.purge, operation=Handle(), resource=resource)

    def _why(self, operation: OperationRecord) -> str:
        error = operation.error or {}
        return f"{error.get('message', 'no reason was given').rstrip('.')} (the log above shows where)"
