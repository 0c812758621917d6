"""What a provider adds to the hooks: endpoints under its resources, and schedules."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeVar

from enopax_core.provider.transfers import Download

F = TypeVar("F", bound=Callable[..., object])
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, kw_only=True)
class CustomEndpoint:
    """A method a provider adds. With a parameter `operation` it is a durable operation, without it a direct call."""

    method: Method
    path: str  # below the resource, such as `/backups/{backup}/verify`
    permission: str
    call: Callable[..., Any]
    name: str = ""  # of the method: the operation's type
    description: str = ""
    retry: bool = True  # False: killed in between, it fails instead of running again
    body_limit: int = 1 << 20  # bytes
    destructive: bool = False  # agents and tools ask a person first
    check: Callable[..., Any] | None = None  # called before the operation is accepted; what it raises is the answer
    schema: Mapping[str, Any] | None = None  # JSON Schema of the body, where the parameter `request` names no model

    @property
    def durable(self) -> bool:
        """Whether it is an operation (it has a parameter `operation`) or a direct call."""
        return "operation" in inspect.signature(self.call).parameters

    @property
    def uploads(self) -> bool:
        """Whether its body is a file (it has a parameter `upload`)."""
        return "upload" in inspect.signature(self.call).parameters

    @property
    def downloads(self) -> bool:
        """Whether it answers with a file (its annotation says `-> Download`)."""
        return inspect.signature(self.call, eval_str=True).return_annotation is Download


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A durable operation on every active resource, each `every`."""

    name: str
    every: timedelta
    call: Callable[..., Any]
    first: timedelta | None = None  # after the resource came into service; None: as `every`


@dataclass(frozen=True, kw_only=True)
class EndpointMark:
    """What `@custom_endpoint` leaves on a method."""

    method: Method
    path: str
    permission: str
    retry: bool
    body_limit: int
    destructive: bool
    check: Callable[..., Any] | None


def custom_endpoint(
    method: Method,
    path: str,
    *,
    permission: str,
    retry: bool = True,
    body_limit: int = 1 << 20,
    destructive: bool = False,
    check: Callable[..., object] | None = None,
) -> Callable[[F], F]:
    """Serve a method under the resource. The annotation of its parameter `request`, a pydantic model, is the schema.

    Parameters of the path (`/backups/{backup}`) arrive as arguments of the same name. `permission` is one of the
    core's or `plugin:verb`; `body_limit` counts bytes; `retry=False` fails the operation instead of repeating it.
    `check`, a method above this one with the same parameters but `operation`, is called before an operation is accepted,
    and raises what the caller shall hear at once: only the backend knows whether a moment can be recovered.
    """

    def mark(function: F) -> F:
        function.__dict__["enopax_endpoint"] = EndpointMark(
            method=method,
            path=path,
            permission=permission,
            retry=retry,
            body_limit=body_limit,
            destructive=destructive,
            check=check,
        )
        return function

    return mark


@dataclass(frozen=True, kw_only=True)
class ScheduleMark:
    """What `@scheduled` leaves on a method."""

    every: timedelta
    first: timedelta | None


def scheduled(*, every: timedelta, first: timedelta | None = None) -> Callable[[F], F]:
    """Run a method `(operation, resource)` on every resource with a backend, each `every`, once across all workers.

    The first time is so long after the resource came into service as `first` says, or `every` without it.
    """

    def mark(function: F) -> F:
        function.__dict__["enopax_schedule"] = ScheduleMark(every=every, first=first)
        return function

    return mark
