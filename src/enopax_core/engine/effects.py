"""What the end of an operation changes in the ledger: the operation, its resource, its schedules, the line behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from enopax_core.engine import transitions
from enopax_core.errors import EnopaxError
from enopax_core.events.recorder import record_operation, record_resource
from enopax_core.ledger import operations, resources, schedules
from enopax_core.ledger.interface import Transaction
from enopax_core.ledger.schedules import Due
from enopax_core.provider.values import Observed, Outcome
from enopax_core.records.operation import Kind, OperationRecord, Progress, State
from enopax_core.records.resource import ResourceRecord
from enopax_core.registry import Registered, Registry
from enopax_core.vault import Vault

Publish = list[tuple[str, datetime | None]]
PURGE_RETRY = timedelta(hours=1)
"""A purge that failed at the end of the retention is asked for again each hour."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What came of an attempt."""

    state: State  # QUEUED: another attempt follows
    outcome: Outcome | None = None
    looked: bool = False  # whether `found` says anything
    found: Observed | None = None
    result: Any = None  # of a custom endpoint
    error: EnopaxError | None = None
    due_at: datetime | None = None
    uncounted: bool = False  # the attempt was interrupted by the server's own end


class Effects:
    """Applies ends. Plain functions over an open transaction."""

    def __init__(self, registry: Registry, vault: Vault) -> None:
        self._registry, self._vault = registry, vault

    def end(self, transaction: Transaction, current: OperationRecord, ended: Ended, ran_with: ResourceRecord | None) -> Publish:
        """End an attempt whose fence was checked in this transaction. Returns what to publish afterwards."""
        after = self._operation(transaction, current, ended)
        line = [other for other in operations.line(transaction, current.subject) if other.id != current.id]
        if after.type == Kind.RESTORE and after.state in (State.FAILED, State.CANCELLED):
            line = _without_changes(transaction, line)
        if current.resource is not None:
            before = resources.get(transaction, current.resource)
            if before is not None:
                waiting = transitions.types([*line, *([] if after.state.ended else [after])])
                self._resource(transaction, before, after, ended, ran_with, waiting)
        if not after.state.ended:
            return [(after.id, after.due_at)]
        if line and line[0].state is State.QUEUED:
            return [(line[0].id, line[0].due_at)]
        return []

    def _operation(self, transaction: Transaction, current: OperationRecord, ended: Ended) -> OperationRecord:
        now = transaction.now
        record = replace(
            current,
            state=ended.state,
            owner=None,
            lease_until=None,
            error=None if ended.error is None else error_view(ended.error),
        )
        if ended.state is State.QUEUED:
            record = replace(
                record, due_at=ended.due_at or now, attempt=current.attempt - 1 if ended.uncounted else current.attempt
            )
        else:
            record = replace(record, finished_at=now)
            operations.drop_steps(transaction, current.id)
        if ended.state is State.SUCCEEDED:
            record = replace(record, progress=Progress(stage="complete", percent=100, message=current.progress.message))
            record = replace(
                record, sealed_result=self._vault.seal({"result": ended.result}) if ended.result is not None else None
            )
        return record_operation(transaction, record)

    def _resource(
        self,
        transaction: Transaction,
        before: ResourceRecord,
        operation: OperationRecord,
        ended: Ended,
        ran_with: ResourceRecord | None,
        waiting: frozenset[str],
    ) -> None:
        now = transaction.now
        if ended.state is State.SUCCEEDED:  # only then its provider is asked for: whatever else ends, its plugin may be missing
            registered = self._registry.provider(before.endpoint)
            after = self._succeeded(before, operation, ended, ran_with or before, registered, now)
            if operation.type == Kind.PURGE:
                record_resource(transaction, before, "purged", {})
                resources.drop(transaction, before.id)
                return
            self._reschedule(transaction, before, operation, registered)
        elif ended.state is State.QUEUED:
            after = before if ended.error is None else replace(before, message=ended.error.message)
        else:
            after = self._gave_up(before, operation, ended, now)
        written = transitions.touched(before, after, waiting, now)
        if operation.state.ended and written.version == before.version:  # its `operation` is gone: a visible change
            written = replace(written, version=before.version + 1, updated_at=now)
        resources.save(transaction, written)

    def _succeeded(
        self,
        before: ResourceRecord,
        operation: OperationRecord,
        ended: Ended,
        ran_with: ResourceRecord,
        registered: Registered,
        now: datetime,
    ) -> ResourceRecord:
        after = before
        match operation.type:
            case Kind.PROVISION | Kind.UPDATE:
                after = transitions.provisioned(after, ran_with, now)
            case Kind.DELETE:
                return transitions.deleted(after, _retention(registered, after), now)
            case Kind.RESTORE:
                after = transitions.restored(after)
        after = transitions.with_outcome(after, ended.outcome, self._vault)
        return transitions.observed(after, ended.found, now) if ended.looked else after

    def _gave_up(self, before: ResourceRecord, operation: OperationRecord, ended: Ended, now: datetime) -> ResourceRecord:
        message = ended.error.message if ended.error is not None else ""
        match operation.type:
            case Kind.PROVISION:
                return replace(before, message=message)
            case Kind.UPDATE:
                reason = "UpdateCancelled" if ended.state is State.CANCELLED else "UpdateFailed"
                return transitions.unsynced(before, reason, message, now)
            case Kind.DELETE | Kind.PURGE:
                return before if before.deleted_at else transitions.deletion_failed(before, message, now)
            case Kind.RESTORE:
                return replace(before, name_held=False, message=message)
            case Kind.RESUME:
                return transitions.not_resumed(before, message, now)
        return before

    def _reschedule(
        self, transaction: Transaction, before: ResourceRecord, operation: OperationRecord, registered: Registered
    ) -> None:
        """A resource that came into service gets its schedules; one that left keeps none but its purge."""
        assert operation.resource is not None  # noqa: S101  # a resource's operation
        if operation.type in (Kind.DELETE, Kind.RESTORE):
            schedules.drop(transaction, operation.resource)
        if operation.type == Kind.DELETE:
            schedules.put(
                transaction,
                Due(
                    subject=operation.resource,
                    name=Kind.PURGE,
                    endpoint=registered.endpoint,
                    every=PURGE_RETRY,
                    due_at=transaction.now + (_retention(registered, before) or transitions.RECORD_KEPT),
                ),
            )
        if operation.type in (Kind.PROVISION, Kind.RESTORE):
            for schedule in registered.schedules:
                schedules.put(
                    transaction,
                    Due(
                        subject=operation.resource,
                        name=schedule.name,
                        endpoint=registered.endpoint,
                        every=schedule.every,
                        due_at=transaction.now + (schedule.every if schedule.first is None else schedule.first),
                    ),
                    keep=True,
                )


def _retention(registered: Registered, resource: ResourceRecord) -> timedelta | None:
    """How long data is kept; None where there is none: of a resource that never came into service."""
    return registered.provider.retention if resource.has_backend else None


def _without_changes(transaction: Transaction, line: list[OperationRecord]) -> list[OperationRecord]:
    """What was to change a resource that could not be restored is cancelled; deleting it goes on."""
    cancel_queued(transaction, [waiting for waiting in line if waiting.type not in (Kind.DELETE, Kind.PURGE)])
    return [waiting for waiting in line if waiting.type in (Kind.DELETE, Kind.PURGE)]


def error_view(error: EnopaxError) -> dict[str, Any]:
    """An error as an operation shows it."""
    return {"code": error.code, "message": error.message}


def cancel_queued(transaction: Transaction, line: Sequence[OperationRecord]) -> None:
    """End everything of a line that only waits."""
    for waiting in line:
        if waiting.state is State.QUEUED:
            record_operation(
                transaction,
                replace(
                    waiting,
                    state=State.CANCELLED,
                    finished_at=transaction.now,
                    error={"code": "cancelled", "message": "The operation was cancelled."},
                ),
            )
