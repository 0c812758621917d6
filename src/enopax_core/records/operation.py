"""A durable change and its progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """Kinds the engine knows; a custom endpoint or a schedule is named by its own word."""

    PROVISION = "provision"
    UPDATE = "update"
    DELETE = "delete"
    RESTORE = "restore"
    PURGE = "purge"
    ROTATE = "rotate"
    SUSPEND = "suspend"
    RESUME = "resume"
    RECONCILE = "reconcile"


class State(StrEnum):
    """States of an operation."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Nothing follows, unless somebody asks for a retry."""
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far an operation is."""

    stage: str = "init"
    percent: int = 0
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class OperationRecord:
    """One durable change of a resource (or one task of a plugin)."""

    id: str
    position: int = 0
    type: str  # a Kind, or the name of a custom endpoint or schedule
    subject: str  # line it stands in: the resource's id, or `task:…`
    resource: str | None  # None: a plugin's task
    endpoint: str
    organisation: str | None
    project: str | None
    state: State = State.QUEUED
    progress: Progress = Progress()
    attempt: int = 0
    max_attempts: int = 5
    due_at: datetime
    owner: str | None = None
    lease_until: datetime | None = None
    cancel_requested: bool = False
    sealed_input: bytes | None = field(default=None, repr=False)
    sealed_result: bytes | None = field(default=None, repr=False)
    error: Mapping[str, Any] | None = None
    principal: str = ""
    events: int = 0  # how many it has emitted: the next sequence is one more
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
