"""Puts a new operation at the end of its subject's line, inside the accepting transaction."""

from __future__ import annotations

from dataclasses import replace

from enopax_core.engine import transitions
from enopax_core.events.recorder import new_id, record_operation
from enopax_core.ledger import operations, resources
from enopax_core.ledger.interface import Transaction
from enopax_core.records.operation import OperationRecord
from enopax_core.records.resource import ResourceRecord
from enopax_core.registry import Registered

TASK = "task:"
"""Subjects of operations that belong to no resource begin so: `task:git-repo`."""


def queue_unchanged(
    transaction: Transaction,
    type: str,
    registered: Registered,
    resource: ResourceRecord,
    *,
    principal: str = "system",
    sealed_input: bytes | None = None,
) -> tuple[ResourceRecord, OperationRecord]:
    """Accept an operation that changes nothing of the desired state. The record is a new version: `operation` is visible."""
    operation = queue_operation(transaction, type, registered, resource, principal=principal, sealed_input=sealed_input)
    return took_up(transaction, resource), operation


def took_up(transaction: Transaction, resource: ResourceRecord) -> ResourceRecord:
    """Write a resource that has an operation more in its line."""
    waiting = transitions.types(operations.line(transaction, resource.id))
    after = transitions.touched(resource, resource, waiting, transaction.now)
    after = replace(after, version=resource.version + 1, updated_at=transaction.now)
    resources.save(transaction, after)
    return after


def queue_operation(
    transaction: Transaction,
    type: str,
    registered: Registered,
    resource: ResourceRecord | None,
    *,
    principal: str = "system",
    sealed_input: bytes | None = None,
) -> OperationRecord:
    """Accept an operation on a resource, or a task of a provider; durable with the transaction."""
    retry = all(endpoint.retry for endpoint in registered.endpoints if endpoint.name == type)
    return record_operation(
        transaction,
        OperationRecord(
            id=new_id("op"),
            type=type,
            subject=TASK + registered.endpoint if resource is None else resource.id,
            resource=None if resource is None else resource.id,
            endpoint=registered.endpoint,
            organisation=None if resource is None else resource.organisation,
            project=None if resource is None else resource.project,
            max_attempts=registered.provider.attempts if retry else 1,
            due_at=transaction.now,
            sealed_input=sealed_input,
            principal=principal,
            created_at=transaction.now,
        ),
    )
