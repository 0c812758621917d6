"""The audit log over an open transaction: append-only, each entry tied to the one before by its hash."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime

from enopax_core.clock import parse
from enopax_core.ledger.interface import Row, Transaction
from enopax_core.ledger.moments import text
from enopax_core.records.audit import Anchor, AuditEntry

PLAIN = ("position", "principal", "credential", "action", "organisation", "project", "resource", "previous", "hash")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which entries; None: any."""

    action: str | None = None
    principal: str | None = None
    resource: str | None = None
    since: datetime | None = None


def head(transaction: Transaction) -> Anchor:
    """What the next entry follows: position 0 and no hash at the beginning."""
    row = transaction.execute("audit_head")[0]
    return Anchor(position=row["position"], hash=row["hash"])


def add(transaction: Transaction, entry: AuditEntry) -> AuditEntry:
    """Append an entry."""
    before = head(transaction)
    entry = replace(entry, position=before.position + 1, previous=before.hash)
    entry = replace(entry, hash=entry.digest())
    detail = None if entry.detail is None else json.dumps(dict(entry.detail))
    transaction.execute("add_audit", **{n: getattr(entry, n) for n in PLAIN}, at=text(entry.at), detail=detail)
    transaction.execute("move_audit_head", position=entry.position, hash=entry.hash)
    return entry


def page(transaction: Transaction, *, organisation: str, project: str, after: int, size: int, wanted: Wanted) -> list[AuditEntry]:
    """One page of a project's audit log, what concerns its whole organisation included."""
    rows = transaction.execute(
        "list_audit",
        organisation=organisation,
        project=project,
        after=after,
        size=size,
        action=wanted.action,
        principal=wanted.principal,
        resource=wanted.resource,
        since=text(wanted.since),
    )
    return [_entry(row) for row in rows]


def everything(transaction: Transaction, *, after: int, size: int) -> list[AuditEntry]:
    """One page of the whole installation's audit log."""
    return [_entry(row) for row in transaction.execute("all_audit", after=after, size=size)]


def _entry(row: Row) -> AuditEntry:
    detail = None if row["detail"] is None else json.loads(row["detail"])
    return AuditEntry(**{name: row[name] for name in PLAIN}, at=parse(row["at"]), detail=detail)
