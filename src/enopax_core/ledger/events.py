"""The log of events and the cursors of its consumers, over an open transaction."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime

from enopax_core.clock import parse, rfc3339
from enopax_core.ledger.interface import Row, Transaction
from enopax_core.records.event import Event


@dataclass(frozen=True, kw_only=True, slots=True)
class Cursor:
    """How far a consumer has come."""

    consumer: str
    position: int
    failures: int = 0  # in a row
    error: str | None = None


def add(transaction: Transaction, event: Event) -> Event:
    """Append an event; listeners get it once the transaction is durable."""
    row = transaction.execute(
        "add_event",
        id=event.id,
        type=event.type,
        operation=event.operation,
        resource=event.resource,
        organisation=event.organisation,
        project=event.project,
        sequence=event.sequence,
        at=rfc3339(event.at),
        data=json.dumps(dict(event.data)),
    )[0]
    stored = replace(event, position=row["position"])
    transaction.events.append(stored)
    return stored


def of_operation(transaction: Transaction, operation: str, *, after: int, size: int) -> list[Event]:
    """One operation's events behind position `after`."""
    return [_event(r) for r in transaction.execute("events_of_operation", operation=operation, after=after, size=size)]


def of_project(transaction: Transaction, project: str, *, after: int, size: int) -> list[Event]:
    """One project's events behind position `after`."""
    return [_event(r) for r in transaction.execute("events_of_project", project=project, after=after, size=size)]


def everything(transaction: Transaction, *, after: int, size: int) -> list[Event]:
    """All events behind position `after`."""
    return [_event(row) for row in transaction.execute("all_events", after=after, size=size)]


def last_position(transaction: Transaction) -> int:
    """Position of the newest event; 0: none."""
    position: int = transaction.execute("last_position")[0]["position"]
    return position


def cursor(transaction: Transaction, consumer: str) -> Cursor | None:
    """How far a consumer has come; None: never began."""
    rows = transaction.execute("get_cursor", consumer=consumer)
    return Cursor(**{k: rows[0][k] for k in ("consumer", "position", "failures", "error")}) if rows else None


def set_cursor(transaction: Transaction, cursor: Cursor) -> None:
    """Remember how far a consumer has come."""
    transaction.execute(
        "set_cursor", consumer=cursor.consumer, position=cursor.position, failures=cursor.failures, error=cursor.error
    )


def cursors(transaction: Transaction) -> list[Cursor]:
    """All consumers."""
    return [
        Cursor(consumer=r["consumer"], position=r["position"], failures=r["failures"], error=r["error"])
        for r in transaction.execute("all_cursors")
    ]


def drop_older(transaction: Transaction, before: datetime) -> None:
    """Forget events from before a moment that every consumer has seen."""
    transaction.execute("drop_old_events", before=rfc3339(before))


def _event(row: Row) -> Event:
    return Event(
        **{n: row[n] for n in ("position", "id", "type", "operation", "resource", "organisation", "project", "sequence")},
        at=parse(row["at"]),
        data=json.loads(row["data"]),
    )
