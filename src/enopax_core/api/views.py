"""What the core gives, as JSON shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from enopax_core.api.wire import present
from enopax_core.clock import rfc3339
from enopax_core.core.core import Core
from enopax_core.core.endpoints import body_schema
from enopax_core.core.keys import SeenKey
from enopax_core.core.looks import Seen
from enopax_core.core.operations import SeenOperation
from enopax_core.events.recorder import operation_snapshot, progress_view
from enopax_core.records.audit import AuditEntry
from enopax_core.records.event import Event
from enopax_core.records.operation import OperationRecord
from enopax_core.records.place import Place
from enopax_core.records.resource import ResourceRecord
from enopax_core.registry import Registered

SPEC_VERSION = "1.0"


def summary(record: ResourceRecord, place: Place) -> dict[str, Any]:
    """A resource in a list."""
    return present(
        id=record.id,
        name=record.name,
        status=record.status.value,
        message=record.message,
        access=record.access,
        plan=record.plan,
        organisation=place.organisation,
        project=place.project,
        createdAt=rfc3339(record.created_at),
        updatedAt=rfc3339(record.updated_at),
        expiresAt=rfc3339(record.expires_at) if record.expires_at else None,
    )


def resource(core: Core, seen: Seen) -> dict[str, Any]:
    """A resource in full, without secrets."""
    record = seen.record
    conditions = [
        present(
            type=c.type,
            status=c.status,
            reason=c.reason,
            message=c.message,
            since=rfc3339(c.since) if c.since else None,
        )
        for c in record.conditions
    ]
    complete = {"stage": "complete", "percent": 100, "message": record.message}
    return {
        **summary(record, seen.place),
        **present(
            connection=dict(record.connection),
            provider=core.registry.provider(record.endpoint).provider.name,
            config=core.resources.shown_config(record),
            sshKeys=list(record.ssh_keys),
            userId=record.user_id,
            conditions=conditions,
            holds=[{"name": h.name, "reason": h.reason, "since": rfc3339(h.since)} for h in record.holds],
            progress=progress_view(seen.operation) if seen.operation is not None else complete,
            operation=seen.operation.id if seen.operation is not None else None,
        ),
    }


def operation(seen: SeenOperation) -> dict[str, Any]:
    """An operation."""
    return named(operation_snapshot(seen.record), seen.place)


def named(snapshot: Mapping[str, Any], place: Place | None) -> dict[str, Any]:
    """A snapshot with the names of its place as they are now."""
    if place is None:
        return dict(snapshot)
    return {**snapshot, "organisation": place.organisation, "project": place.project}


def cloud_event(event: Event, place: Place | None) -> dict[str, Any]:
    """An event as CloudEvents 1.0 JSON."""
    source = f"/v1/operations/{event.operation}" if event.operation else "/v1/resources"
    return present(
        specversion=SPEC_VERSION,
        id=event.id,
        source=source,
        type=f"eu.enopax.{event.type}",
        subject=event.resource,
        time=rfc3339(event.at),
        datacontenttype="application/json",
        sequence=event.sequence,
        data=named(event.data, place),
    )


def key(seen: SeenKey) -> dict[str, Any]:
    """An API key; its secret only where it was just made."""
    record = seen.key
    return present(
        id=record.id,
        key=seen.secret,
        preview=record.preview,
        name=record.name,
        role=record.role,
        permissions=None if record.permissions is None else sorted(record.permissions),
        organisation=seen.organisation,
        project=seen.project,
        createdAt=rfc3339(record.created_at),
        expiresAt=rfc3339(record.expires_at) if record.expires_at else None,
    )


def audit_entry(entry: AuditEntry) -> dict[str, Any]:
    """One line of the audit log."""
    return present(
        position=entry.position,
        at=rfc3339(entry.at),
        principal=entry.principal,
        credential=entry.credential,
        action=entry.action,
        resource=entry.resource,
        detail=None if entry.detail is None else dict(entry.detail),
    )


def accepted(core: Core, seen: Seen, record: OperationRecord) -> dict[str, Any]:
    """A resource with the operation that was accepted for it, which may have ended meanwhile."""
    return {**resource(core, seen), "operation": record.id}


def provider(core: Core, known: Registered) -> dict[str, Any]:
    """A provider as discovery announces it."""
    schemas = core_schemas(core, known)
    return {
        "name": known.provider.name,
        "apiVersion": "v1",
        "endpoint": known.endpoint,
        "description": known.provider.description,
        "capabilities": list(known.capabilities),
        "schema": schemas,
        "customEndpoints": [
            {
                "path": custom.path,
                "name": custom.name,
                "description": custom.description,
                "method": custom.method,
                "permission": custom.permission,
                "schema": body_schema(custom) or {},
                **({"upload": True} if custom.uploads else {}),
                **({"download": True} if custom.downloads else {}),
            }
            for custom in known.endpoints
        ],
        "plans": [
            present(
                id=plan.id,
                name=plan.name or plan.id,
                description=plan.description,
                price=plan.price.model_dump() if plan.price else None,
                limits=dict(plan.limits),
                preset=dict(plan.preset),
            )
            for plan in known.plans.values()
        ],
    }


def core_schemas(core: Core, known: Registered) -> dict[str, Any]:
    """Published schemas of a provider."""
    schemas = core.schemas[known.endpoint]
    return present(provision=schemas.provision, update=schemas.update)
