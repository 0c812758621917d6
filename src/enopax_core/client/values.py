"""What a server answers, typed and frozen. Fields that a newer server adds are kept in `model_extra`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

T = TypeVar("T")


class Value(BaseModel):
    """Base of all answers: camelCase on the wire."""

    model_config = ConfigDict(frozen=True, extra="allow", alias_generator=to_camel, populate_by_name=True)


# ── Discovery ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Plan(Value):
    """An offer of a provider."""

    id: str
    name: str = ""
    description: str = ""
    price: Mapping[str, str] | None = None
    limits: Mapping[str, Any] = {}
    preset: Mapping[str, Any] = {}


class Schemas(Value):
    """JSON Schemas of a provider's requests."""

    provision: Mapping[str, Any]
    update: Mapping[str, Any] | None = None


class CustomEndpoint(Value):
    """What a provider offers beside the operations that all have."""

    path: str
    method: str
    name: str = ""
    description: str = ""
    permission: str = ""
    body: Mapping[str, Any] = Field(default={}, alias="schema")
    """JSON Schema of its request."""
    upload: bool = False
    """Whether its request is a file."""
    download: bool = False
    """Whether it answers with a file."""


class Provider(Value):
    """What can be provisioned."""

    name: str
    endpoint: str
    description: str = ""
    capabilities: Sequence[str] = ()
    schemas: Schemas = Field(alias="schema")
    custom_endpoints: Sequence[CustomEndpoint] = ()
    plans: Sequence[Plan] = ()


# ── Resources ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Progress(Value):
    """How far an operation is."""

    stage: str = "init"
    percent: int = 0
    message: str = ""


class Condition(Value):
    """One thing known of a resource, such as Ready or Synced."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    since: datetime | None = None


class Hold(Value):
    """Why a resource is suspended."""

    name: str
    reason: str = ""
    since: datetime | None = None


class Resource(Value):
    """A resource; in a list without what only its own page shows."""

    id: str
    name: str
    status: str
    message: str = ""
    access: str | None = None
    plan: str | None = None
    organisation: str = ""
    project: str = ""
    connection: Mapping[str, str] = {}
    credentials: Mapping[str, Any] | None = Field(default=None, repr=False)
    """In the answer that ended its provisioning alone."""
    config: Mapping[str, Any] = {}
    ssh_keys: Sequence[str] = ()
    operation: str | None = None
    """The running or next operation, or the one that was just accepted."""
    progress: Progress = Progress()
    conditions: Sequence[Condition] = ()
    holds: Sequence[Hold] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    expires_at: datetime | None = None
    etag: str | None = None
    """For `If-Match`: changes with every visible change. Absent in a list and while an operation runs."""


class Deletion(Value):
    """What came of deleting a resource."""

    id: str | None = None
    message: str = ""
    operation: str | None = None
    """The operation that is still at it; None: done."""


class Secrets(Value):
    """New credentials."""

    credentials: Mapping[str, Any] | None = Field(default=None, repr=False)
    """None while the operation is still at it."""
    operation: str | None = None


class Token(Value):
    """A short-lived token for one resource's custom endpoints and event streams."""

    token: str = Field(repr=False)
    expires_at: datetime


class Called(Value):
    """What a custom endpoint answered."""

    body: Any = Field(default=None, repr=False)
    """Its result, where it is done."""
    operation: str | None = None
    """The operation that is still at it, and will hold the result; None: done."""


class Action(Value):
    """One thing that provisioning would do."""

    action: str
    what: str = ""
    detail: str = ""


class Preview(Value):
    """What provisioning would do."""

    config: Mapping[str, Any] = {}
    actions: Sequence[Action] = ()
    price: Mapping[str, str] | None = None


class Change(Value):
    """One field that an update would change; secrets are `***`."""

    pointer: str
    old: Any = None
    new: Any = None
    effect: str = "in-place"


class Metric(Value):
    """One measured value."""

    value: float | int
    unit: str = ""
    help: str = ""


class LogLine(Value):
    """One line of a resource's log."""

    time: datetime
    level: str
    message: str


# ── Operations and events ─────────────────────────────────────────────────────────────────────────────────────────────


class Operation(Value):
    """A durable change."""

    id: str
    type: str
    state: str
    endpoint: str
    resource: str | None = None
    progress: Progress = Progress()
    attempt: int = 0
    error: Mapping[str, Any] | None = None
    result: Any = Field(default=None, repr=False)
    """What a custom endpoint gave, where `operations.show` was asked by somebody who may use it."""
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """Nothing follows, unless somebody asks for a retry."""
        return self.state in ("succeeded", "failed", "cancelled")


class Event(Value):
    """One event of a stream; `position` goes on behind it."""

    position: int
    type: str
    subject: str | None = None
    time: datetime | None = None
    sequence: int = 0
    data: Mapping[str, Any] = {}

    @property
    def operation(self) -> Operation:
        """The operation that the event is about. Raises ValueError for an event of another kind."""
        return Operation.model_validate(self.data)


# ── Keys and audit ────────────────────────────────────────────────────────────────────────────────────────────────────


class Key(Value):
    """An API key; `key` is its secret, in the answer that made it alone."""

    id: str
    name: str
    role: str
    key: str | None = Field(default=None, repr=False)
    preview: str = ""
    permissions: Sequence[str] | None = None
    organisation: str | None = None
    project: str | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None


class Entry(Value):
    """One line of the audit log."""

    position: int = 0
    at: datetime
    principal: str
    action: str
    credential: str = ""
    resource: str | None = None
    detail: Mapping[str, Any] | None = None


class Break(Value):
    """Where the audit log is not what was written."""

    position: int | None = None
    message: str


class Verification(Value):
    """What came of verifying the audit log."""

    intact: bool
    entries: int = 0
    unchained: int = 0
    anchor: str = ""
    breaks: Sequence[Break] = ()


class Page(Value, Generic[T]):
    """One page of a list."""

    items: Sequence[T]
    next: str | None = None
    """Token of the following page; None on the last."""
