"""What an author receives and returns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, Protocol, TypeAlias, TypeVar

from pydantic import BaseModel, JsonValue

from enopax_core.records.condition import Condition

T = TypeVar("T")
ConfigT_co = TypeVar("ConfigT_co", covariant=True)
Json: TypeAlias = Mapping[str, JsonValue]

STAGES: Mapping[str, int] = {"init": 0, "allocate": 20, "configure": 40, "provision": 60, "verify": 80, "complete": 100}
"""Stages of the provisioning flow and how many per cent are done when each begins."""


@dataclass(frozen=True, kw_only=True)
class Resource(Generic[ConfigT_co]):
    """What a customer owns. `config` is desired, `applied` is the one that last succeeded (None: never)."""

    id: str  # [a-z0-9-], at most 63 characters; never parsed, never changed by a rename
    name: str
    organisation: str  # display names, for people
    project: str
    organisation_slug: str = ""  # for addresses
    project_slug: str = ""
    plan: Plan
    config: ConfigT_co = field(repr=False)  # may hold secrets
    applied: ConfigT_co | None = field(default=None, repr=False)
    ssh_keys: Sequence[str] = ()
    state: Json = field(default_factory=dict, repr=False)  # the provider's own notes, encrypted, never shown
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an operation leaves behind; absent fields stay as they are."""

    access: str | None = None
    connection: Mapping[str, str] | None = None
    credentials: Mapping[str, str] | None = field(default=None, repr=False)
    state: Json | None = field(default=None, repr=False)
    message: str | None = None


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What the backend is like now. The core derives the resource's status from it, from holds and from operations."""

    health: Literal["ready", "degraded", "maintenance", "missing"]
    message: str = ""
    config: Json | None = None  # as found, where it can be read: drift is the difference from desired
    conditions: Sequence[Condition] = ()  # further ones: BackedUp, Replicated …


class Operation(Protocol):
    """One attempt of a durable change. What it records is dropped once the lease is lost."""

    @property
    def id(self) -> str:
        """Opaque id of the operation."""

    @property
    def attempt(self) -> int:
        """1 on the first attempt; counted when a worker takes the operation, so crashes count."""

    def key(self, step: str) -> str:
        """Idempotency key for a backend, the same on every attempt."""

    def progress(self, stage: str, message: str = "", percent: int | None = None) -> None:
        """Report a stage; without `percent` it is that of the stage, or the last one for a word of your own.

        Never blocks: reports are written together, at the latest with the end. Works from a thread too.

        Raises: Cancelled when somebody has cancelled the operation; LeaseLost when another worker has it.
        """

    async def announce(self, outcome: Outcome) -> None:
        """Publish what is known before the end (the address, state); durable on return.

        From a plain method: `anyio.from_thread.run(operation.announce, outcome)`.
        """

    async def step(self, name: str, do: Callable[[], Awaitable[T]]) -> T:
        """Run `do` and keep its JSON result for later attempts. Killed in between, `do` runs again: use `key`."""


class Price(BaseModel, frozen=True):
    """What a plan costs; `amount` is decimal text, so that no float ever holds money."""

    amount: str
    currency: str
    per: Literal["month", "hour", "once"] = "month"


class Plan(BaseModel, frozen=True):
    """A named offer with limits; `preset` are configuration values that come with it. No price: free."""

    id: str
    name: str = ""
    description: str = ""
    price: Price | None = None
    limits: Mapping[str, int] = {}
    preset: Mapping[str, JsonValue] = {}


class Metric(BaseModel, frozen=True):
    """One measured value."""

    value: float
    unit: str
    help: str = ""


class Action(BaseModel, frozen=True):
    """One line of a preview."""

    action: Literal["create", "update", "restart", "replace", "delete"]
    what: str
    detail: str = ""
