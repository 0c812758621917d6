"""What must happen although nobody asks: expired leases, lost deliveries, due times, old rows."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from functools import partial

from enopax_core.clock import Clock, rfc3339
from enopax_core.engine.effects import Effects, Ended, Publish
from enopax_core.engine.queue import TASK, queue_operation, queue_unchanged
from enopax_core.engine.worker import backoff
from enopax_core.errors import Cancelled, TemporaryError
from enopax_core.ledger import events, operations, resources, schedules
from enopax_core.ledger.interface import Ledger, Transaction
from enopax_core.ledger.schedules import Due
from enopax_core.records.operation import Kind, OperationRecord, State
from enopax_core.records.resource import ResourceRecord
from enopax_core.registry import Registered, Registry

PAGE = 200
EVENTS_KEPT = timedelta(days=30)
ENDED_KEPT = timedelta(days=7)  # operations that have ended, of tasks and of resources that are gone


class WorkerLost(TemporaryError):
    """The worker that ran this was lost too often."""

    code = "worker-lost"


class Sweep:
    """One round of housekeeping. What must be published is returned: the engine owns the dispatcher."""

    def __init__(self, ledger: Ledger, registry: Registry, effects: Effects, clock: Clock) -> None:
        self._ledger, self._registry, self._effects, self._clock = ledger, registry, effects, clock

    async def leases(self, held: Collection[str], *, all_of_them: bool = False) -> Publish:
        """End the leases that ran out (rule 6); `all_of_them` at the start of whoever holds the data directory."""

        def write(transaction: Transaction) -> Publish:
            found = operations.running(transaction) if all_of_them else operations.expired(transaction, PAGE)
            published: Publish = []
            for lost in found:
                if lost.id not in held:
                    following = self._effects.end(transaction, lost, self._after_loss(lost), None)
                    published += following if self._known(lost.endpoint) else []
                    self._look_again(transaction, lost)
            return published

        return await self._ledger.write(write)

    async def due(self) -> Publish:
        """Operations that a worker could take now: a server may die between commit and publish."""
        endpoints = [known.endpoint for known in self._registry.providers]
        ids = await self._ledger.read(partial(operations.due_heads, endpoints=endpoints, size=PAGE))
        return [(id, None) for id in ids]

    async def schedule(self) -> Publish:
        """Turn due times into operations, once per due time across all workers (rule 11)."""
        now = self._clock()
        pending = await self._ledger.read(partial(schedules.pending, now=now, size=PAGE))
        if not pending:
            return []

        def write(transaction: Transaction) -> Publish:
            published: Publish = []
            for due in pending:
                if schedules.advance(transaction, due, now):
                    published += self._operation_of(transaction, due)
            return published

        return await self._ledger.write(write)

    async def forget(self) -> None:
        """Drop what nobody needs any more."""
        now = self._clock()

        def write(transaction: Transaction) -> None:
            events.drop_older(transaction, now - EVENTS_KEPT)
            transaction.execute("drop_old_requests", before=rfc3339(now - timedelta(hours=24)))
            transaction.execute("drop_old_operations", before=rfc3339(now - ENDED_KEPT))

        await self._ledger.write(write)

    def _after_loss(self, lost: OperationRecord) -> Ended:
        if lost.cancel_requested:
            return Ended(state=State.CANCELLED, error=Cancelled())
        if lost.attempt < lost.max_attempts:
            wait = timedelta(0) if lost.attempt == 1 else backoff(lost.attempt)
            return Ended(state=State.QUEUED, due_at=self._clock() + wait)
        return Ended(state=State.FAILED, error=WorkerLost())

    def _look_again(self, transaction: Transaction, lost: OperationRecord) -> None:
        """An operation that was lost for good may have left anything: reconcile looks."""
        current = operations.get(transaction, lost.id)
        if current is not None and current.state is State.FAILED and lost.resource is not None:
            schedules.put(
                transaction,
                Due(
                    subject=lost.resource,
                    name=Kind.RECONCILE,
                    endpoint=lost.endpoint,
                    every=None,
                    due_at=transaction.now,
                ),
            )

    def _operation_of(self, transaction: Transaction, due: Due) -> Publish:
        registered = self._known(due.endpoint)
        resource = resources.get(transaction, due.subject)
        if registered is None or not (due.subject.startswith(TASK) or self._applies(due, resource)):
            return []
        if any(waiting.type == due.name for waiting in operations.line(transaction, due.subject)):
            return []  # the one before has not ended: it stands for this one too
        if resource is None:
            return [(queue_operation(transaction, due.name, registered, None).id, None)]
        return [(queue_unchanged(transaction, due.name, registered, resource)[1].id, None)]

    def _applies(self, due: Due, resource: ResourceRecord | None) -> bool:
        if resource is None:
            return False
        if due.name == Kind.PURGE:
            return resource.deleted_at is not None
        return resource.live and resource.has_backend

    def _known(self, endpoint: str) -> Registered | None:
        """The provider, unless its plugin is missing now: then its resources wait untouched."""
        return {known.endpoint: known for known in self._registry.providers}.get(endpoint)
