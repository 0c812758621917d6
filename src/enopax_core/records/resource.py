"""A resource as the ledger keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from enopax_core.records.condition import Condition, Hold


class Status(StrEnum):
    """Lifecycle word, derived by the core (`engine/transitions.py`)."""

    PROVISIONING = "provisioning"
    ACTIVE = "active"
    UPDATING = "updating"
    DEGRADED = "degraded"
    SUSPENDED = "suspended"
    MAINTENANCE = "maintenance"
    FAILED = "failed"
    DELETING = "deleting"
    DELETED = "deleted"


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceRecord:
    """What a customer owns. Sealed fields are encrypted by the vault; nothing secret stands in the others."""

    id: str
    position: int = 0  # order of creation; 0: not stored yet
    endpoint: str
    organisation: str  # opaque ids
    project: str
    name: str
    name_held: bool = True  # the name is taken; false once DELETE was accepted
    user_id: str | None = None
    plan: str | None = None
    status: Status = Status.PROVISIONING
    message: str = ""
    access: str | None = None
    connection: Mapping[str, str] = field(default_factory=dict)
    ssh_keys: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)  # desired, without its secret fields
    applied: Mapping[str, Any] | None = None  # what last succeeded, without its secret fields
    sealed_config: bytes | None = field(default=None, repr=False)  # the secret fields of config
    sealed_applied: bytes | None = field(default=None, repr=False)
    sealed_state: bytes | None = field(default=None, repr=False)
    sealed_credentials: bytes | None = field(default=None, repr=False)
    conditions: tuple[Condition, ...] = ()
    holds: tuple[Hold, ...] = ()
    health: str | None = None  # last observed; None: never observed
    has_backend: bool = False  # provisioning has succeeded once
    version: int = 1  # grows with every visible change except progress: the ETag
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None
    expires_at: datetime | None = None  # end of the deleted record

    @property
    def live(self) -> bool:
        """Neither deleted nor on the way there."""
        return self.status not in (Status.DELETING, Status.DELETED)
