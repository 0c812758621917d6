"""A request as a value, and what its answer means. No I/O."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from enopax_core import errors
from enopax_core.client.values import Page, Value
from enopax_core.errors import EnopaxError, Fault, TooManyRequests

T = TypeVar("T")
V = TypeVar("V", bound=Value)


@dataclass(frozen=True, kw_only=True)
class Ask(Generic[T]):
    """What is asked, and how the answer's JSON becomes a value."""

    method: str
    path: str
    read: Callable[[Any], T] = field(repr=False)
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def once(self) -> Ask[T]:
        """The same with an idempotency key, where it changes something: it may then be sent again."""
        if self.method == "GET" or "Idempotency-Key" in self.headers:
            return self
        return replace(self, headers={**self.headers, "Idempotency-Key": secrets.token_hex(16)})


def of(kind: type[V]) -> Callable[[Any], V]:
    """Read the whole answer as one value."""
    return kind.model_validate


def page_of(kind: type[V], name: str) -> Callable[[Any], Page[V]]:
    """Read the answer as one page of a list under `name`."""

    def read(body: Any) -> Page[V]:
        items: Sequence[V] = [kind.model_validate(item) for item in body[name]]
        return Page(items=items, next=body.get("nextPageToken"))

    return read


def present(**given: Any) -> dict[str, Any]:
    """What was given: None stands for nothing."""
    return {name: value for name, value in given.items() if value is not None}


def failure(status: int, body: Any, headers: Mapping[str, str]) -> EnopaxError:
    """The error that an answer stands for: of the class that the server raised, where it is one of ours."""
    problem = body if isinstance(body, dict) else {}
    message = str(problem.get("detail") or problem.get("error") or f"The server answered with status {status}.")
    faults = [Fault(str(f.get("pointer", "")), str(f.get("message", ""))) for f in problem.get("errors", [])]
    code = str(problem.get("type", "")).rpartition(":")[2]
    if status == 429:
        return TooManyRequests(message, retry_after=retry_after(headers) or 1.0)
    kind = _by_code().get(code) or _by_status(status)
    return kind(message, faults=faults)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait."""
    value = headers.get("retry-after", "")
    return float(value) if value.isdigit() else None


def _by_code() -> dict[str, type[EnopaxError]]:
    own = (errors.Refused, errors.TooManyRequests, errors.TemporaryError)  # made from more than a message
    found = vars(errors).values()
    classes = [kind for kind in found if isinstance(kind, type) and issubclass(kind, EnopaxError) and kind not in own]
    return {kind.code: kind for kind in classes}


def _by_status(status: int) -> type[EnopaxError]:
    known: dict[int, type[EnopaxError]] = {
        400: errors.Malformed,
        401: errors.Unauthenticated,
        402: errors.PaymentRequired,
        403: errors.Forbidden,
        404: errors.NotFound,
        409: errors.Conflict,
        412: errors.PreconditionFailed,
        422: errors.Invalid,
        503: errors.Unavailable,
    }
    return known.get(status, EnopaxError)
