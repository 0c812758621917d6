"""What plugins may do with resources: look without being asked who they are, make another, hold and release."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from enopax_core.core.acceptance import Conditions
from enopax_core.core.places import Places
from enopax_core.core.resources import Resources
from enopax_core.engine import transitions
from enopax_core.engine.engine import Engine
from enopax_core.engine.queue import queue_operation
from enopax_core.errors import NotFound
from enopax_core.events.recorder import ResourceEvent, record_resource
from enopax_core.ledger import idempotency, operations, resources
from enopax_core.ledger.idempotency import BoundRequest
from enopax_core.ledger.interface import Ledger, Transaction
from enopax_core.records.condition import Hold
from enopax_core.records.operation import Kind, OperationRecord
from enopax_core.records.principal import INSTALLATION
from enopax_core.records.resource import ResourceRecord
from enopax_core.registry import Registry

PLUGINS = "plugins"
"""Whose idempotency keys those of plugins are: no caller's credential is called so."""


class LentResources:
    """Implements `hooks.Resources`."""

    def __init__(self, ledger: Ledger, registry: Registry, engine: Engine, places: Places, use_cases: Resources) -> None:
        self._ledger, self._registry, self._engine = ledger, registry, engine
        self._places, self._use_cases = places, use_cases

    async def get(self, id: str) -> ResourceRecord | None:
        """See hooks.Resources."""
        return await self._ledger.read(partial(resources.get, id=id))

    async def find(self, endpoint: str, project: str, name: str) -> ResourceRecord | None:
        """See hooks.Resources."""
        return await self._ledger.read(partial(resources.find, endpoint=endpoint, project=project, name=name))

    async def provision(self, endpoint: str, body: Mapping[str, Any], *, beside: str, key: str) -> ResourceRecord:
        """See hooks.Resources."""

        def find(transaction: Transaction) -> tuple[ResourceRecord | None, ResourceRecord | None]:
            bound = idempotency.find(transaction, PLUGINS, key, transaction.now)
            operation = None if bound is None else operations.get(transaction, bound.operation or "")
            made = None if operation is None else resources.get(transaction, operation.resource or "")
            return resources.get(transaction, beside), made

        neighbour, made = await self._ledger.read(find)
        if made is not None:
            return made
        if neighbour is None:
            raise NotFound
        place = await self._places.of(neighbour.project)
        names = {"organisationName": place.organisation, "projectName": place.project}
        conditions = Conditions(bound=BoundRequest(caller=PLUGINS, key=key, fingerprint=""))
        return (await self._use_cases.provision(INSTALLATION, endpoint, {**body, **names}, conditions)).resource

    async def hold(self, id: str, name: str, reason: str) -> None:
        """See hooks.Resources."""

        def held(current: ResourceRecord, transaction: Transaction) -> ResourceRecord:
            others = [hold for hold in current.holds if hold.name != name]
            since = next((hold.since for hold in current.holds if hold.name == name), transaction.now)
            return replace(current, holds=(*others, Hold(name=name, reason=reason, since=since)))

        await self._hold(id, held)

    async def release(self, id: str, name: str) -> None:
        """See hooks.Resources."""

        def released(current: ResourceRecord, _: Transaction) -> ResourceRecord:
            return replace(current, holds=tuple(hold for hold in current.holds if hold.name != name))

        await self._hold(id, released)

    async def _hold(self, id: str, change: Callable[[ResourceRecord, Transaction], ResourceRecord]) -> None:
        def write(transaction: Transaction) -> OperationRecord | None:
            current = resources.get(transaction, id)
            if current is None:
                raise NotFound
            desired = change(current, transaction)
            waiting = transitions.types(operations.line(transaction, id))
            if bool(current.holds) == bool(desired.holds):
                resources.save(transaction, transitions.touched(current, desired, waiting, transaction.now))
                return None
            kind = Kind.SUSPEND if desired.holds else Kind.RESUME
            registered = self._registry.provider(current.endpoint)
            works = registered.has(kind) and current.has_backend and current.live
            after = transitions.touched(current, desired, waiting | {kind} if works else waiting, transaction.now)
            resources.save(transaction, after)
            what: ResourceEvent = "suspended" if after.holds else "resumed"
            record_resource(transaction, after, what, {"holds": [hold.name for hold in after.holds]})
            return queue_operation(transaction, kind, registered, after, principal=INSTALLATION.id) if works else None

        operation = await self._ledger.write(write)
        if operation is not None:
            await self._engine.publish(operation.id)
