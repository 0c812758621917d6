"""Operations over an open transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from enopax_core.clock import parse, rfc3339
from enopax_core.ledger.interface import Row, Transaction
from enopax_core.ledger.moments import moment, text
from enopax_core.records.operation import OperationRecord, Progress, State


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """Operations of one endpoint that are due and wait."""

    endpoint: str
    oldest: datetime  # since when the longest waiting one is due
    number: int


def add(transaction: Transaction, record: OperationRecord) -> OperationRecord:
    """Put an operation at the end of its subject's line."""
    return replace(record, position=transaction.execute("add_operation", **_row(record))[0]["position"])


def save(transaction: Transaction, record: OperationRecord) -> None:
    """Write a changed record back; it was read in this transaction."""
    transaction.execute("replace_operation", **_row(record))


def get(transaction: Transaction, id: str) -> OperationRecord | None:
    """An operation by id."""
    return _first(transaction.execute("get_operation", id=id))


def claim(transaction: Transaction, id: str, *, owner: str, lease_until: datetime) -> OperationRecord | None:
    """Start an attempt, counted; None unless the operation is due and first in its line."""
    return _first(
        transaction.execute("claim_operation", id=id, owner=owner, lease_until=rfc3339(lease_until), now=rfc3339(transaction.now))
    )


def fenced(transaction: Transaction, held: OperationRecord) -> OperationRecord | None:
    """The operation as it stands, if this attempt still holds it; None: another worker took over, stop silently."""
    return _first(transaction.execute("fenced_operation", id=held.id, owner=held.owner, attempt=held.attempt))


def renew(transaction: Transaction, held: OperationRecord, lease_until: datetime) -> OperationRecord | None:
    """Hold the lease longer; None: lost."""
    return _first(
        transaction.execute("hold_lease", id=held.id, owner=held.owner, attempt=held.attempt, lease_until=rfc3339(lease_until))
    )


def line(transaction: Transaction, subject: str) -> list[OperationRecord]:
    """What is running or waits for a subject, in order."""
    return [record(row) for row in transaction.execute("line_of", subject=subject)]


def due_heads(transaction: Transaction, endpoints: Sequence[str], size: int) -> list[str]:
    """Ids of operations of these providers that a worker could claim now."""
    rows = transaction.execute("due_heads", now=rfc3339(transaction.now), endpoints=json.dumps(list(endpoints)), size=size)
    return [row["id"] for row in rows]


def expired(transaction: Transaction, size: int) -> list[OperationRecord]:
    """Running operations whose lease has run out."""
    return [record(row) for row in transaction.execute("expired_leases", now=rfc3339(transaction.now), size=size)]


def running(transaction: Transaction) -> list[OperationRecord]:
    """Everything that somebody claims to be running."""
    return [record(row) for row in transaction.execute("running_operations")]


def page(transaction: Transaction, *, project: str, after: int, size: int) -> list[OperationRecord]:
    """One page of a project's operations in order of acceptance."""
    return [record(row) for row in transaction.execute("list_operations", project=project, after=after, size=size)]


def page_of_resource(transaction: Transaction, *, resource: str, after: int, size: int) -> list[OperationRecord]:
    """One page of a resource's operations in order of acceptance."""
    rows = transaction.execute("list_operations_of_resource", resource=resource, after=after, size=size)
    return [record(row) for row in rows]


def oldest_due(transaction: Transaction) -> tuple[datetime | None, int]:
    """Since when the longest waiting operation is due, and how many are."""
    row = transaction.execute("oldest_due", now=rfc3339(transaction.now))[0]
    return moment(row["due_at"]), row["number"]


def due(transaction: Transaction) -> list[Due]:
    """What is due and waits, by endpoint."""
    rows = transaction.execute("due_by_endpoint", now=rfc3339(transaction.now))
    return [Due(endpoint=row["endpoint"], oldest=parse(row["due_at"]), number=row["number"]) for row in rows]


def save_step(transaction: Transaction, operation: str, name: str, sealed_result: bytes | None) -> None:
    """Keep a step's result for later attempts."""
    transaction.execute("save_step", operation=operation, name=name, sealed_result=sealed_result)


def steps(transaction: Transaction, operation: str) -> Mapping[str, bytes | None]:
    """Sealed results of the steps that have ended, by name."""
    return {row["name"]: row["sealed_result"] for row in transaction.execute("steps_of", operation=operation)}


def drop_steps(transaction: Transaction, operation: str) -> None:
    """Forget the steps of an operation that has ended for good."""
    transaction.execute("drop_steps", operation=operation)


def record(row: Row) -> OperationRecord:
    """The value of a row."""
    return OperationRecord(
        **{name: row[name] for name in PLAIN},
        position=row["position"],
        state=State(row["state"]),
        progress=Progress(stage=row["stage"], percent=row["percent"], message=row["message"]),
        due_at=parse(row["due_at"]),
        lease_until=moment(row["lease_until"]),
        cancel_requested=bool(row["cancel_requested"]),
        error=None if row["error"] is None else json.loads(row["error"]),
        created_at=parse(row["created_at"]),
        started_at=moment(row["started_at"]),
        finished_at=moment(row["finished_at"]),
    )


def _first(rows: Sequence[Row]) -> OperationRecord | None:
    return record(rows[0]) if rows else None


def _row(record: OperationRecord) -> dict[str, Any]:
    """Parameters of a record, one for each column."""
    return {
        **{name: getattr(record, name) for name in PLAIN},
        "state": record.state.value,
        "stage": record.progress.stage,
        "percent": record.progress.percent,
        "message": record.progress.message,
        "due_at": rfc3339(record.due_at),
        "lease_until": text(record.lease_until),
        "cancel_requested": record.cancel_requested,
        "error": None if record.error is None else json.dumps(dict(record.error)),
        "created_at": rfc3339(record.created_at),
        "started_at": text(record.started_at),
        "finished_at": text(record.finished_at),
    }


PLAIN = (
    *("id", "type", "subject", "resource", "endpoint", "organisation", "project", "attempt", "max_attempts"),
    *("owner", "sealed_input", "sealed_result", "principal", "events"),
)
