"""Makes events out of changes, inside the transaction that changes: a state and its event are one."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from enopax_core.clock import rfc3339
from enopax_core.ledger import events, operations
from enopax_core.ledger.interface import Transaction
from enopax_core.records.event import Event
from enopax_core.records.operation import OperationRecord, Progress
from enopax_core.records.resource import ResourceRecord

ResourceEvent = Literal["suspended", "resumed", "purged"]
"""What events tell of a resource; those of an operation are its states, and `progress`."""


def operation_snapshot(record: OperationRecord) -> dict[str, Any]:
    """An operation as GET shows it, but for the names of its organisation and project, which may change."""
    shown: dict[str, Any] = {
        "id": record.id,
        "type": record.type,
        "state": record.state.value,
        "endpoint": record.endpoint,
        "resource": record.resource,
        "progress": progress_view(record),
        "attempt": record.attempt,
        "error": dict(record.error) if record.error is not None else None,
        "createdAt": rfc3339(record.created_at),
        "startedAt": _moment(record.started_at),
        "finishedAt": _moment(record.finished_at),
    }
    return {name: value for name, value in shown.items() if value is not None}


def progress_view(record: OperationRecord) -> dict[str, Any]:
    """How far an operation is."""
    return {
        "stage": record.progress.stage,
        "percent": record.progress.percent,
        "message": record.progress.message,
    }


def record_operation(transaction: Transaction, record: OperationRecord) -> OperationRecord:
    """Write an operation (a new one is added) together with the event that says so."""
    record = replace(record, events=record.events + 1)
    if record.position == 0:
        record = operations.add(transaction, record)
    else:
        operations.save(transaction, record)
    _add_event(transaction, record, record.state.value)
    return record


def record_progress(transaction: Transaction, record: OperationRecord, reports: Sequence[Progress]) -> OperationRecord:
    """An event for each report. The operation itself is not written: whoever calls writes it with what else changed."""
    for report in reports:
        record = replace(record, progress=report, events=record.events + 1)
        _add_event(transaction, record, "progress")
    return record


def _add_event(transaction: Transaction, record: OperationRecord, what: str) -> None:
    events.add(
        transaction,
        Event(
            id=new_id("ev"),
            type=f"operation.{what}",
            operation=record.id,
            resource=record.resource,
            organisation=record.organisation,
            project=record.project,
            sequence=record.events,
            at=transaction.now,
            data=operation_snapshot(record),
        ),
    )


def record_resource(transaction: Transaction, resource: ResourceRecord, what: ResourceEvent, data: Mapping[str, Any]) -> None:
    """Append an event about a resource that belongs to no operation."""
    events.add(
        transaction,
        Event(
            id=new_id("ev"),
            type=f"resource.{what}",
            operation=None,
            resource=resource.id,
            organisation=resource.organisation,
            project=resource.project,
            sequence=1,
            at=transaction.now,
            data={"id": resource.id, "endpoint": resource.endpoint, "name": resource.name, **data},
        ),
    )


def new_id(prefix: str) -> str:
    """A new opaque id: 80 random bits, lower-case."""
    return f"{prefix}-{secrets.token_hex(10)}"


def _moment(value: datetime | None) -> str | None:
    return None if value is None else rfc3339(value)
