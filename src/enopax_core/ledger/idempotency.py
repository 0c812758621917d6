"""Requests that carried an idempotency key, over an open transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from enopax_core.clock import rfc3339
from enopax_core.errors import RequestInFlight
from enopax_core.ledger.interface import Transaction, UniqueViolation

LIFETIME = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True, slots=True)
class BoundRequest:
    """What a key stands for. Without `sealed_answer` the answer was lost in a crash: it is made anew from the operation."""

    caller: str
    key: str
    fingerprint: str  # of method, path with query, and body
    operation: str | None = None
    sealed_answer: bytes | None = field(default=None, repr=False)


def find(transaction: Transaction, caller: str, key: str, now: datetime) -> BoundRequest | None:
    """What a caller's key stands for, if it was used within its lifetime."""
    rows = transaction.execute("get_request", caller=caller, key=key, after=rfc3339(now - LIFETIME))
    if not rows:
        return None
    names = ("caller", "key", "fingerprint", "operation", "sealed_answer")
    return BoundRequest(**{name: rows[0][name] for name in names})


def bind(transaction: Transaction, request: BoundRequest, now: datetime) -> None:
    """Bind a key. Raises RequestInFlight when another request was faster."""
    transaction.execute("drop_stale_request", caller=request.caller, key=request.key, after=rfc3339(now - LIFETIME))
    try:
        transaction.execute(
            "add_request",
            caller=request.caller,
            key=request.key,
            fingerprint=request.fingerprint,
            operation=request.operation,
            sealed_answer=request.sealed_answer,
            created_at=rfc3339(now),
        )
    except UniqueViolation as error:
        raise RequestInFlight from error


def answer(transaction: Transaction, caller: str, key: str, sealed_answer: bytes | None) -> None:
    """Record the answer a key stands for."""
    transaction.execute("answer_request", caller=caller, key=key, sealed_answer=sealed_answer)
