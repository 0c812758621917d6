"""What an operation does to its resource: pure functions from record to record. The status is derived here alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from enopax_core.provider.values import Observed, Outcome
from enopax_core.records.condition import Condition, Truth
from enopax_core.records.operation import Kind
from enopax_core.records.resource import ResourceRecord, Status
from enopax_core.vault import Vault

RECORD_KEPT = timedelta(days=1)
"""How long the record of a deleted resource stays readable where no data is kept."""

HEALTH = {"ready": Status.ACTIVE, "maintenance": Status.MAINTENANCE}


def status_of(resource: ResourceRecord, waiting: Collection[str]) -> Status:
    """The lifecycle word, from the facts of the record and the types of operations that run or wait for it."""
    if resource.deleted_at is not None and Kind.RESTORE not in waiting:
        return Status.DELETING if Kind.PURGE in waiting else Status.DELETED
    if Kind.DELETE in waiting or Kind.PURGE in waiting:
        return Status.DELETING
    if Kind.PROVISION in waiting:
        return Status.PROVISIONING
    if not resource.has_backend or _is(resource, "Deleted", "False"):
        return Status.FAILED
    if resource.holds or Kind.RESUME in waiting:  # without a hold, but not back at work yet
        return Status.SUSPENDED
    if Kind.UPDATE in waiting or Kind.RESTORE in waiting:
        return Status.UPDATING
    if _is(resource, "Synced", "False") or resource.health in ("degraded", "missing"):
        return Status.DEGRADED
    return HEALTH.get(resource.health or "ready", Status.ACTIVE)


def touched(before: ResourceRecord, after: ResourceRecord, waiting: Collection[str], now: datetime) -> ResourceRecord:
    """The record to write: status derived anew, version and time moved on if anything visible changed."""
    after = replace(after, status=status_of(after, waiting))
    if after == before:
        return before
    return replace(after, version=before.version + 1, updated_at=now)


def condition(resource: ResourceRecord, type: str, status: Truth, reason: str, message: str, now: datetime) -> ResourceRecord:
    """Set a condition; `since` moves only when its status does."""
    old = next((c for c in resource.conditions if c.type == type), None)
    since = old.since if old is not None and old.status == status else now
    new = Condition(type=type, status=status, reason=reason, message=message, since=since)
    others = [c for c in resource.conditions if c.type != type]
    return replace(resource, conditions=tuple(sorted([*others, new], key=lambda c: c.type)))


def without(resource: ResourceRecord, type: str) -> ResourceRecord:
    """Take a condition away."""
    return replace(resource, conditions=tuple(c for c in resource.conditions if c.type != type))


def with_outcome(resource: ResourceRecord, outcome: Outcome | None, vault: Vault) -> ResourceRecord:
    """Keep what an operation left behind; absent fields stay as they are."""
    if outcome is None:
        return resource
    if outcome.access is not None:
        resource = replace(resource, access=outcome.access)
    if outcome.connection is not None:
        resource = replace(resource, connection=dict(outcome.connection))
    if outcome.credentials is not None:
        resource = replace(resource, sealed_credentials=vault.seal(dict(outcome.credentials)))
    if outcome.state is not None:
        resource = replace(resource, sealed_state=vault.seal(dict(outcome.state)))
    if outcome.message is not None:
        resource = replace(resource, message=outcome.message)
    return resource


def observed(resource: ResourceRecord, found: Observed | None, now: datetime) -> ResourceRecord:
    """Take over what the provider sees of its backend; None: it could not look."""
    if found is None:
        return condition(resource, "Ready", "Unknown", "NotObserved", "The backend could not be looked at.", now)
    ready: Truth = "True" if found.health == "ready" else "False"
    resource = replace(resource, health=found.health)
    resource = condition(resource, "Ready", ready, found.health.capitalize(), found.message, now)
    for other in found.conditions:
        resource = condition(resource, other.type, other.status, other.reason, other.message, now)
    if found.config is not None:
        drifted = sorted(name for name, value in found.config.items() if resource.config.get(name, value) != value)
        if drifted:
            names = ", ".join(drifted)
            resource = condition(resource, "Synced", "False", "Drifted", f"The backend differs in {names}.", now)
        elif _is(resource, "Synced", "False", "Drifted"):
            resource = condition(resource, "Synced", "True", "Reconciled", "", now)
    return resource


def provisioned(before: ResourceRecord, ran_with: ResourceRecord, now: datetime) -> ResourceRecord:
    """Provisioning or an update has succeeded with the configuration that the attempt was given."""
    after = replace(before, has_backend=True, applied=ran_with.config, sealed_applied=ran_with.sealed_config, message="")
    in_step = before.config == ran_with.config and before.sealed_config == ran_with.sealed_config
    if in_step:
        return condition(after, "Synced", "True", "Applied", "", now)
    return condition(after, "Synced", "False", "Pending", "A later change waits to be applied.", now)


def unsynced(before: ResourceRecord, reason: str, message: str, now: datetime) -> ResourceRecord:
    """A change has failed: the desired configuration stays as asked."""
    after = replace(before, message=message)
    return condition(after, "Synced", "False", reason, message, now) if before.has_backend else after


def deletion_failed(before: ResourceRecord, message: str, now: datetime) -> ResourceRecord:
    """DELETE has failed: it can be asked for again."""
    return condition(replace(before, message=message), "Deleted", "False", "DeleteFailed", message, now)


def not_resumed(before: ResourceRecord, message: str, now: datetime) -> ResourceRecord:
    """Work could not be taken up again; the next look says whether that still is so."""
    after = replace(before, health="degraded", message=message)
    return condition(after, "Ready", "False", "ResumeFailed", message, now)


def deleted(before: ResourceRecord, retention: timedelta | None, now: datetime) -> ResourceRecord:
    """The backend is out of service; the record stays until `expires_at`."""
    after = replace(before, deleted_at=now, expires_at=now + (retention or RECORD_KEPT), name_held=False, health=None, message="")
    for type in ("Ready", "Deleted"):
        after = without(after, type)
    if retention is None:  # nothing is left that could be in step, nor that the secrets could open
        after = without(after, "Synced")
        after = replace(after, sealed_credentials=None, sealed_state=None, sealed_config=None, sealed_applied=None)
    return after


def restored(before: ResourceRecord) -> ResourceRecord:
    """The backend is in service again."""
    return replace(before, deleted_at=None, expires_at=None, has_backend=True, message="")


def types(operations: Iterable[object]) -> frozenset[str]:
    """Types of operations that run or wait."""
    return frozenset(str(getattr(operation, "type", "")) for operation in operations)


def _is(resource: ResourceRecord, type: str, status: Truth, reason: str | None = None) -> bool:
    return any(c.type == type and c.status == status and (reason is None or c.reason == reason) for c in resource.conditions)
