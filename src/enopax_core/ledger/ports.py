"""Ports of this machine over an open transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from enopax_core.clock import parse, rfc3339
from enopax_core.ledger.interface import Row, Transaction
from enopax_core.records.port import PortRecord

REST = timedelta(hours=1)
"""How long a released port is given to nobody: clients that have not heard of it go on connecting."""


def take(transaction: Transaction, number: int, owner: str, name: str) -> PortRecord | None:
    """Give a port; None: it cannot be given now. Raises UniqueViolation when the owner has one of this name."""
    now = transaction.now
    rows = transaction.execute(
        "take_port", number=number, owner=owner, name=name, now=rfc3339(now), released_before=rfc3339(now - REST)
    )
    return _record(rows[0]) if rows else None


def of_owner(transaction: Transaction, owner: str) -> Sequence[PortRecord]:
    """The ports of an owner, by name."""
    return [_record(row) for row in transaction.execute("ports_of", owner=owner)]


def in_use(transaction: Transaction) -> Sequence[PortRecord]:
    """Every port that is given, in order."""
    return [_record(row) for row in transaction.execute("ports_in_use")]


def not_to_give(transaction: Transaction) -> frozenset[int]:
    """Numbers that are given, or were released too lately."""
    rows = transaction.execute("ports_not_to_give", released_before=rfc3339(transaction.now - REST))
    return frozenset(row["number"] for row in rows)


def latest(transaction: Transaction) -> int | None:
    """The number that was given last."""
    rows = transaction.execute("latest_port")
    return rows[0]["number"] if rows else None


def release(transaction: Transaction, owner: str, name: str | None) -> None:
    """Take back an owner's port of a name, or all of them; repeatable."""
    transaction.execute("release_ports", owner=owner, name=name, now=rfc3339(transaction.now))


def _record(row: Row) -> PortRecord:
    return PortRecord(number=row["number"], owner=row["owner"], name=row["name"], allocated_at=parse(row["allocated_at"]))
