"""Use cases on operations: look, list, wait, cancel, retry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import anyio

from enopax_core.core.acceptance import Accepted
from enopax_core.core.looks import Looks
from enopax_core.core.places import Places
from enopax_core.engine.effects import Effects, Ended
from enopax_core.engine.engine import Engine
from enopax_core.engine.queue import took_up
from enopax_core.errors import Cancelled, Conflict, NotFound, OperationEnded, Unavailable
from enopax_core.events.feed import Feed
from enopax_core.events.recorder import record_operation
from enopax_core.governors import Governors
from enopax_core.ledger import idempotency, operations, resources
from enopax_core.ledger.idempotency import BoundRequest
from enopax_core.ledger.interface import Ledger, Transaction
from enopax_core.records.operation import Kind, OperationRecord, State
from enopax_core.records.place import Place, Target
from enopax_core.records.principal import Permission, Principal
from enopax_core.records.resource import ResourceRecord, Status
from enopax_core.registry import Registry
from enopax_core.vault import Vault

POLL = timedelta(seconds=5)
"""How often a wait looks by itself: another server may end the operation."""


@dataclass(frozen=True, kw_only=True)
class SeenOperation:
    """An operation with the names of its place; `place` is None for a plugin's task."""

    record: OperationRecord
    place: Place | None


@dataclass(frozen=True, kw_only=True)
class OperationPage:
    """One page of a list; `next` is the position behind which the following one begins, None on the last."""

    items: Sequence[SeenOperation]
    next: int | None


class Operations:
    """Use cases on operations. Every face calls only these."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        registry: Registry,
        governors: Governors,
        places: Places,
        resources: Looks,
        engine: Engine,
        effects: Effects,
        vault: Vault,
        feed: Feed,
    ) -> None:
        self._ledger, self._registry, self._governors, self._places = ledger, registry, governors, places
        self._resources, self._engine, self._effects = resources, engine, effects
        self._vault, self._feed = vault, feed

    async def find(self, principal: Principal, id: str, permission: str = Permission.READ) -> SeenOperation:
        """An operation, if the caller may see it. Raises NotFound, Forbidden."""
        record = await self._ledger.read(partial(operations.get, id=id))
        if record is None:
            raise NotFound
        target = _target(record)
        if not (await self._governors.authorise(principal, Permission.READ, [target]))[0]:
            raise NotFound
        if permission != Permission.READ:
            await self._governors.require(principal, permission, target)
        return SeenOperation(record=record, place=await self._places.of(record.project) if record.project else None)

    async def result(self, principal: Principal, seen: SeenOperation) -> Any:
        """What a custom endpoint gave, as JSON; None where there is nothing, and for whoever may not use that endpoint."""
        record = seen.record
        added = [custom for known in self._registry.providers if known.endpoint == record.endpoint for custom in known.endpoints]
        permissions = [custom.permission for custom in added if custom.name == record.type]
        if record.sealed_result is None or not permissions:
            return None
        if not (await self._governors.authorise(principal, permissions[0], [_target(record)]))[0]:
            return None
        return self._vault.open(record.sealed_result)["result"]

    async def page(self, principal: Principal, organisation: str, project: str, *, after: int, size: int) -> OperationPage:
        """One page of a project's operations, in order of acceptance. Raises Forbidden."""
        place = await self._places.allowed(principal, organisation, project, Permission.READ)
        if place.new:
            return OperationPage(items=(), next=None)
        found = await self._ledger.read(partial(operations.page, project=place.project_id, after=after, size=size + 1))
        return _page(found, place, size)

    async def page_of_resource(self, principal: Principal, endpoint: str, id: str, *, after: int, size: int) -> OperationPage:
        """One page of a resource's operations, in order of acceptance. Raises NotFound."""
        seen = await self._resources.find(principal, endpoint, id)
        found = await self._ledger.read(partial(operations.page_of_resource, resource=id, after=after, size=size + 1))
        return _page(found, seen.place, size)

    async def wait(self, id: str, seconds: float) -> OperationRecord | None:
        """Wait until an operation has ended, at most so long; the operation as it then stands, None if it is gone."""
        await self.pause(id, seconds)
        return await self._ledger.read(partial(operations.get, id=id))

    async def ended(self, accepted: Accepted) -> OperationRecord:
        """Wait for the end of what was accepted, however long that takes.

        Raises: OperationEnded where there was nothing left to do; NotFound when the resource was purged meanwhile;
        Unavailable when the core closes first.
        """
        if accepted.operation is None:
            raise OperationEnded("There was nothing left to do.")
        while True:
            record = await self.wait(accepted.operation.id, POLL.total_seconds())
            if record is None:
                raise NotFound
            if record.state.ended:
                return record
            if self._feed.closing:
                raise Unavailable("The core closes; what was accepted goes on when it is opened again.")

    async def pause(self, id: str, seconds: float) -> None:
        """Wait until an operation has ended, at most so long."""
        async with self._feed.end_of(id) as ended:
            with anyio.move_on_after(seconds):
                while not ended.is_set() and not self._feed.closing:
                    with anyio.move_on_after(POLL.total_seconds()):
                        await ended.wait()
                        break
                    record = await self._ledger.read(partial(operations.get, id=id))
                    if record is None or record.state.ended:
                        return

    async def cancel(self, principal: Principal, id: str, bound: BoundRequest | None = None) -> SeenOperation:
        """Ask an operation to end early; a queued one ends at once. Raises NotFound, Forbidden, OperationEnded."""
        seen = await self.find(principal, id, Permission.UPDATE)

        def write(transaction: Transaction) -> tuple[OperationRecord, Sequence[tuple[str, object]]]:
            current = operations.get(transaction, id)
            if current is None:
                raise NotFound
            if current.state.ended:
                raise OperationEnded
            _bind(transaction, bound, id)
            if current.state is State.RUNNING:
                current = replace(current, cancel_requested=True)
                operations.save(transaction, current)
                return current, ()
            following = self._effects.end(transaction, current, Ended(state=State.CANCELLED, error=Cancelled()), None)
            return operations.get(transaction, id) or current, following

        record, following = await self._ledger.write(write)
        if record.state is State.RUNNING:
            self._engine.cancel(id)
        for operation_id, _ in following:
            await self._engine.publish(operation_id)
        return replace(seen, record=record)

    async def retry(self, principal: Principal, id: str, bound: BoundRequest | None = None) -> SeenOperation:
        """Try a failed operation again, with as many attempts as at first. Raises NotFound, Forbidden, Conflict, NameTaken."""
        seen = await self.find(principal, id, Permission.UPDATE)
        attempts = self._registry.provider(seen.record.endpoint).provider.attempts

        def write(transaction: Transaction) -> OperationRecord:
            current = operations.get(transaction, id)
            if current is None:
                raise NotFound
            if current.state is not State.FAILED:
                raise Conflict("Only a failed operation can be tried again.")
            resource = None if current.resource is None else resources.get(transaction, current.resource)
            if current.resource is not None and resource is None:
                raise Conflict("The resource is gone.")
            if resource is not None and not _may_be_retried(current, resource):
                raise Conflict("The resource is deleted or being deleted.")
            again = record_operation(
                transaction,
                replace(
                    current,
                    state=State.QUEUED,
                    due_at=transaction.now,
                    max_attempts=current.attempt + attempts,
                    cancel_requested=False,
                    finished_at=None,
                    error=None,
                ),
            )
            if resource is not None:
                took_up(transaction, replace(resource, name_held=resource.name_held or current.type == Kind.RESTORE))
            _bind(transaction, bound, id)
            return again

        record = await self._ledger.write(write)
        await self._engine.publish(record.id)
        return replace(seen, record=record)


def _target(operation: OperationRecord) -> Target:
    return Target(organisation=operation.organisation, project=operation.project, resource=operation.resource)


def _may_be_retried(operation: OperationRecord, resource: ResourceRecord) -> bool:
    match operation.type:
        case Kind.DELETE:
            return resource.deleted_at is None
        case Kind.PURGE:
            return True
        case Kind.RESTORE:
            return resource.status is Status.DELETED and resource.has_backend
    return resource.live


def _bind(transaction: Transaction, bound: BoundRequest | None, operation: str) -> None:
    if bound is not None:
        idempotency.bind(transaction, replace(bound, operation=operation), transaction.now)


def _page(found: Sequence[OperationRecord], place: Place, size: int) -> OperationPage:
    return OperationPage(
        items=[SeenOperation(record=record, place=place) for record in found[:size]],
        next=found[size - 1].position if len(found) > size else None,
    )
