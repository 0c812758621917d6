"""Resources over an open transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from enopax_core.clock import parse, rfc3339
from enopax_core.errors import NameTaken
from enopax_core.ledger.interface import Row, Transaction, UniqueViolation
from enopax_core.ledger.moments import moment, text
from enopax_core.records.condition import Condition, Hold
from enopax_core.records.resource import ResourceRecord, Status


def add(transaction: Transaction, record: ResourceRecord) -> ResourceRecord:
    """Store a new resource. Raises NameTaken."""
    try:
        position = transaction.execute("add_resource", **_row(record))[0]["position"]
    except UniqueViolation as error:
        if "resources.name" in error.columns:
            raise NameTaken from error
        raise
    return replace(record, position=position)


def save(transaction: Transaction, record: ResourceRecord) -> None:
    """Write a changed record back. Raises NameTaken when its name was changed, or taken again, to one in use."""
    try:
        transaction.execute("replace_resource", **_row(record))
    except UniqueViolation as error:
        raise NameTaken from error


def get(transaction: Transaction, id: str) -> ResourceRecord | None:
    """A resource by id, deleted ones included."""
    return _first(transaction.execute("get_resource", id=id))


def find(transaction: Transaction, endpoint: str, project: str, name: str) -> ResourceRecord | None:
    """The live resource that holds a name."""
    return _first(transaction.execute("find_resource", endpoint=endpoint, project=project, name=name))


def page(
    transaction: Transaction, *, endpoint: str, project: str, after: int, size: int, status: str | None = None
) -> list[ResourceRecord]:
    """One page in order of creation, behind position `after`."""
    rows = transaction.execute("list_resources", endpoint=endpoint, project=project, after=after, size=size, status=status)
    return [record(row) for row in rows]


def page_of_endpoint(transaction: Transaction, *, endpoint: str, after: int, size: int) -> list[ResourceRecord]:
    """One page of all resources of a provider, for reconcile."""
    return [record(row) for row in transaction.execute("list_resources_of_endpoint", endpoint=endpoint, after=after, size=size)]


def page_of_sealed(transaction: Transaction, *, after: int, size: int) -> list[ResourceRecord]:
    """One page of what holds secrets, for sealing them again."""
    return [record(row) for row in transaction.execute("sealed_resources", after=after, size=size)]


def drop(transaction: Transaction, id: str) -> None:
    """Forget a resource and its schedules; its operations, events and audit entries stay for their time."""
    transaction.execute("drop_schedules", subject=id)
    transaction.execute("drop_resource", id=id)


def count(transaction: Transaction) -> Sequence[tuple[str, str, int]]:
    """Endpoint, status and number of resources."""
    return [(row["endpoint"], row["status"], row["number"]) for row in transaction.execute("count_resources")]


def record(row: Row) -> ResourceRecord:
    """The value of a row."""
    return ResourceRecord(
        id=row["id"],
        position=row["position"],
        endpoint=row["endpoint"],
        organisation=row["organisation"],
        project=row["project"],
        name=row["name"],
        name_held=bool(row["name_held"]),
        user_id=row["user_id"],
        plan=row["plan"],
        status=Status(row["status"]),
        message=row["message"],
        access=row["access"],
        connection=json.loads(row["connection"]),
        ssh_keys=tuple(json.loads(row["ssh_keys"])),
        config=json.loads(row["config"]),
        applied=None if row["applied"] is None else json.loads(row["applied"]),
        sealed_config=row["sealed_config"],
        sealed_applied=row["sealed_applied"],
        sealed_state=row["sealed_state"],
        sealed_credentials=row["sealed_credentials"],
        conditions=tuple(Condition(**{**c, "since": moment(c["since"])}) for c in json.loads(row["conditions"])),
        holds=tuple(Hold(**{**h, "since": parse(h["since"])}) for h in json.loads(row["holds"])),
        health=row["health"],
        has_backend=bool(row["has_backend"]),
        version=row["version"],
        created_at=parse(row["created_at"]),
        updated_at=parse(row["updated_at"]),
        deleted_at=moment(row["deleted_at"]),
        expires_at=moment(row["expires_at"]),
    )


def _first(rows: Sequence[Row]) -> ResourceRecord | None:
    return record(rows[0]) if rows else None


def _row(record: ResourceRecord) -> dict[str, Any]:
    """Parameters of a record, one for each column."""
    return {
        **{name: getattr(record, name) for name in PLAIN},
        "status": record.status.value,
        "connection": json.dumps(dict(record.connection)),
        "ssh_keys": json.dumps(record.ssh_keys),
        "config": json.dumps(dict(record.config)),
        "applied": None if record.applied is None else json.dumps(dict(record.applied)),
        "conditions": json.dumps([{**asdict(c), "since": text(c.since)} for c in record.conditions]),
        "holds": json.dumps([{**asdict(h), "since": rfc3339(h.since)} for h in record.holds]),
        "created_at": rfc3339(record.created_at),
        "updated_at": rfc3339(record.updated_at),
        "deleted_at": text(record.deleted_at),
        "expires_at": text(record.expires_at),
    }


PLAIN = (
    *("id", "endpoint", "organisation", "project", "name", "name_held", "user_id", "plan", "message", "access"),
    *("sealed_config", "sealed_applied", "sealed_state", "sealed_credentials", "health", "has_backend", "version"),
)
