"""A request as a value, and what its answer means. No I/O."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from enopax_core.client.values import Page, Value

T = TypeVar("T")
V = TypeVar("V", bound=Value)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A successful answer."""

    status: int
    body: Any = field(repr=False)
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Ask(Generic[T]):
    """What is asked, and how the answer becomes a value."""

    method: str
    path: str
    read: Callable[[Reply], T] = field(repr=False)
    params: Mapping[str, str] = field(default_factory=dict)
    body: Any = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def once(self) -> Ask[T]:
        """The same with an idempotency key, where it changes something: it may then be sent again."""
        if self.method == "GET" or "Idempotency-Key" in self.headers:
            return self
        return replace(self, headers={**self.headers, "Idempotency-Key": secrets.token_hex(16)})


def path(*segments: str) -> str:
    """A path below the API's version, whatever characters its segments hold: a name must not reach another address."""
    return "/v1/" + "/".join(_segment(one) for one in segments)


def _segment(text: str) -> str:
    return quote(text, safe="") if text.strip(".") else "%2E" * len(text)  # `..` would be taken for a step upwards


def of(kind: type[V]) -> Callable[[Reply], V]:
    """Read the whole answer as one value."""
    return lambda reply: kind.model_validate(reply.body)


def within(kind: type[V], name: str) -> Callable[[Reply], V]:
    """Read the part of the answer under `name` as one value."""
    return lambda reply: kind.model_validate(reply.body[name])


def each(kind: type[V], name: str) -> Callable[[Reply], list[V]]:
    """Read the list under `name`."""
    return lambda reply: [kind.model_validate(item) for item in reply.body[name]]


def page_of(kind: type[V], name: str) -> Callable[[Reply], Page[V]]:
    """Read the answer as one page of a list under `name`."""
    return lambda reply: Page(items=each(kind, name)(reply), next=reply.body.get("nextPageToken"))


def present(**given: Any) -> dict[str, Any]:
    """What was given: None stands for nothing."""
    return {name: value for name, value in given.items() if value is not None}
