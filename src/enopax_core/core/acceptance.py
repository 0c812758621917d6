"""How every change is accepted: admitted, then written with its event, audit entry and idempotency key in one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from enopax_core.clock import Clock
from enopax_core.engine.engine import Engine
from enopax_core.engine.queue import queue_unchanged
from enopax_core.errors import Conflict, Gone, NotFound, PlaceTaken, PreconditionFailed, Suspended
from enopax_core.governors import Governors
from enopax_core.hooks import Change
from enopax_core.ledger import audit as audit_log
from enopax_core.ledger import idempotency, resources
from enopax_core.ledger.idempotency import BoundRequest
from enopax_core.ledger.interface import Ledger, Transaction
from enopax_core.records.audit import AuditEntry
from enopax_core.records.operation import OperationRecord
from enopax_core.records.resource import ResourceRecord, Status
from enopax_core.registry import Registered


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a caller demands of the moment in which a change is accepted."""

    bound: BoundRequest | None = None  # idempotency key
    etags: Sequence[str] | None = None  # If-Match; `*` matches whatever exists


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A durable change: what will be done, and to what. Without operation there was nothing left to do."""

    resource: ResourceRecord
    operation: OperationRecord | None


class Stale(Exception):
    """The resource changed between looking and accepting: look again."""


NO_CONDITIONS = Conditions()
TRIES = 20


class Acceptance:
    """Accepts changes and hands their operations to the engine."""

    def __init__(self, ledger: Ledger, governors: Governors, engine: Engine, clock: Clock) -> None:
        self._ledger, self._governors, self._engine, self._clock = ledger, governors, engine, clock

    async def repeatedly(self, attempt: Callable[[], Awaitable[Accepted]]) -> Accepted:
        """Look, decide and accept; again where somebody else was faster."""
        for _ in range(TRIES):
            try:
                return await attempt()
            except (Stale, PlaceTaken):
                continue
        raise Conflict("Too many others are changing this at the same moment.")

    async def write(self, change: Change, conditions: Conditions, body: Callable[[Transaction], Accepted]) -> Accepted:
        """Write an admitted change; return once it is durable and handed on."""

        def accept(transaction: Transaction) -> Accepted:
            self._governors.accept(change, transaction)
            accepted = body(transaction)
            if conditions.bound is not None:
                operation = None if accepted.operation is None else accepted.operation.id
                idempotency.bind(transaction, replace(conditions.bound, operation=operation), transaction.now)
            audit(transaction, change, accepted.resource.id)
            return accepted

        accepted = await self._ledger.write(accept)
        if accepted.operation is not None:
            await self._engine.publish(accepted.operation.id)
        return accepted

    async def queue(
        self, change: Change, registered: Registered, conditions: Conditions, *, seal: Callable[[], bytes | None] = lambda: None
    ) -> Accepted:
        """Accept an operation that changes nothing of the desired state: rotate, a custom endpoint with its sealed input."""
        before = change.before
        if before is None:
            raise NotFound
        id = before.id

        def body(transaction: Transaction) -> Accepted:
            current = current_of(transaction, id, conditions)
            refuse_unless_changeable(current)
            after, operation = queue_unchanged(
                transaction, change.type, registered, current, principal=change.principal.id, sealed_input=seal()
            )
            return Accepted(resource=after, operation=operation)

        return await self.write(change, conditions, body)


def etag(record: ResourceRecord) -> str:
    """Strong entity tag of a resource: changes with every visible change except progress."""
    return f'"{record.id}.{record.version}"'


def current_of(transaction: Transaction, id: str, conditions: Conditions) -> ResourceRecord:
    """The resource as it stands in the accepting transaction. Raises NotFound, PreconditionFailed."""
    current = resources.get(transaction, id)
    if current is None:
        raise NotFound
    require_match(current, conditions)
    return current


def require_match(current: ResourceRecord, conditions: Conditions) -> None:
    """Raises PreconditionFailed unless the resource is as `If-Match` demands."""
    if conditions.etags is not None and "*" not in conditions.etags and etag(current) not in conditions.etags:
        raise PreconditionFailed


def refuse_unless_changeable(current: ResourceRecord) -> None:
    """Raises Gone for what is deleted or on the way there, Suspended while there is a hold."""
    if current.status is Status.DELETED:  # one that is being restored is not: what is asked of it waits in its line
        raise Gone("The resource is deleted: restore it first.")
    if current.status is Status.DELETING:
        raise Gone("The resource is being deleted.")
    if current.holds:
        raise Suspended(f"The resource is suspended ({', '.join(hold.name for hold in current.holds)}).")


def audit(transaction: Transaction, change: Change, resource: str | None) -> None:
    """Write who did it."""
    audit_log.add(
        transaction,
        AuditEntry(
            at=transaction.now,
            principal=change.principal.id,
            credential=change.principal.credential,
            action=change.type,
            organisation=change.place.organisation_id or None,
            project=change.place.project_id or None,
            resource=resource,
            detail=None if change.endpoint is None else {"endpoint": change.endpoint},
        ),
    )
