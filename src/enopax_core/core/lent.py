"""What plugins may do with resources: look without being asked who they are, hold and release."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from enopax_core.engine import transitions
from enopax_core.engine.engine import Engine
from enopax_core.engine.queue import queue_operation
from enopax_core.errors import NotFound
from enopax_core.events.recorder import record_resource
from enopax_core.ledger import operations, resources
from enopax_core.ledger.interface import Ledger, Transaction
from enopax_core.records.condition import Hold
from enopax_core.records.operation import Kind, OperationRecord
from enopax_core.records.principal import INSTALLATION
from enopax_core.records.resource import ResourceRecord
from enopax_core.registry import Registry


class LentResources:
    """Implements `hooks.Resources`."""

    def __init__(self, ledger: Ledger, registry: Registry, engine: Engine) -> None:
        self._ledger, self._registry, self._engine = ledger, registry, engine

    async def get(self, id: str) -> ResourceRecord | None:
        """See hooks.Resources."""
        return await self._ledger.read(partial(resources.get, id=id))

    async def find(self, endpoint: str, project: str, name: str) -> ResourceRecord | None:
        """See hooks.Resources."""
        return await self._ledger.read(partial(resources.find, endpoint=endpoint, project=project, name=name))

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
            after = transitions.touched(current, desired, waiting, transaction.now)
            resources.save(transaction, after)
            if bool(current.holds) == bool(after.holds):
                return None
            kind, what = (Kind.SUSPEND, "suspended") if after.holds else (Kind.RESUME, "resumed")
            record_resource(transaction, after, what, {"holds": [hold.name for hold in after.holds]})
            registered = self._registry.provider(current.endpoint)
            if not registered.has(kind) or not current.has_backend or not current.live:
                return None
            return queue_operation(transaction, kind, registered, after, principal=INSTALLATION.id)

        operation = await self._ledger.write(write)
        if operation is not None:
            await self._engine.publish(operation.id)
