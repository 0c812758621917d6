"""Due times over an open transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from enopax_core.clock import parse, rfc3339
from enopax_core.ledger.interface import Transaction


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """When something is due for a subject, and how often."""

    subject: str  # a resource's id, or `task:…`
    name: str
    endpoint: str
    every: timedelta | None  # None: once
    due_at: datetime


def put(transaction: Transaction, due: Due, *, keep: bool = False) -> None:
    """Set a due time; with `keep`, one that is already there stays unless its interval changed."""
    transaction.execute(
        "keep_schedule" if keep else "set_schedule",
        subject=due.subject,
        name=due.name,
        endpoint=due.endpoint,
        every_seconds=None if due.every is None else int(due.every.total_seconds()),
        due_at=rfc3339(due.due_at),
    )


def pending(transaction: Transaction, now: datetime, size: int) -> list[Due]:
    """What is due, the longest waiting first."""
    return [
        Due(
            subject=row["subject"],
            name=row["name"],
            endpoint=row["endpoint"],
            every=None if row["every_seconds"] is None else timedelta(seconds=row["every_seconds"]),
            due_at=parse(row["due_at"]),
        )
        for row in transaction.execute("due_schedules", now=rfc3339(now), size=size)
    ]


def advance(transaction: Transaction, due: Due, now: datetime) -> bool:
    """Move on to the next due time, or drop a single one; False: another worker already did.

    Missed times are not made up for: the next one lies in the future.
    """
    if due.every is None:
        return bool(transaction.execute("drop_schedule", subject=due.subject, name=due.name, due_at=rfc3339(due.due_at)))
    following = max(due.due_at + due.every, now + due.every / 2)
    rows = transaction.execute(
        "advance_schedule", subject=due.subject, name=due.name, due_at=rfc3339(due.due_at), next=rfc3339(following)
    )
    return bool(rows)


def drop(transaction: Transaction, subject: str) -> None:
    """Forget all due times of a subject."""
    transaction.execute("drop_schedules", subject=subject)
