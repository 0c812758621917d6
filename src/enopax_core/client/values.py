"""What a server answers, typed and frozen. Fields that a newer server adds are kept in `model_extra`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

T = TypeVar("T")


class Value(BaseModel):
    """Base of all answers: camelCase on the wire."""

    model_config = ConfigDict(frozen=True, extra="allow", alias_generator=to_camel, populate_by_name=True)


class Progress(Value):
    """How far an operation is."""

    stage: str = "init"
    percent: int = 0
    message: str = ""


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


class Provider(Value):
    """What can be provisioned."""

    name: str
    endpoint: str
    description: str = ""
    capabilities: Sequence[str] = ()
    schemas: Schemas
    custom_endpoints: Sequence[Mapping[str, Any]] = ()
    plans: Sequence[Plan] = ()


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
    credentials: Mapping[str, Any] | None = None
    config: Mapping[str, Any] = {}
    ssh_keys: Sequence[str] = ()
    operation: str | None = None
    progress: Progress = Progress()
    conditions: Sequence[Mapping[str, Any]] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    expires_at: datetime | None = None


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
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """Nothing follows, unless somebody asks for a retry."""
        return self.state in ("succeeded", "failed", "cancelled")


class Key(Value):
    """An API key; `key` is its secret, in the answer that made it alone."""

    id: str
    name: str
    role: str
    key: str | None = None
    preview: str = ""
    permissions: Sequence[str] | None = None
    organisation: str | None = None
    project: str | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None


class Event(Value):
    """One event of a stream; `position` goes on behind it."""

    position: int
    type: str
    subject: str | None = None
    sequence: int = 0
    data: Mapping[str, Any] = {}

    @property
    def operation(self) -> Operation:
        """The operation that the event is about. Raises ValueError for an event of another kind."""
        return Operation.model_validate(self.data)


class Page(Value, Generic[T]):
    """One page of a list."""

    items: Sequence[T]
    next: str | None = None
    """Token of the following page; None on the last."""
