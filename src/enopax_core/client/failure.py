"""The error that an answer stands for: of the class that the server raised, where it is one of ours. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from enopax_core import errors
from enopax_core.errors import EnopaxError, Fault, Refused, TemporaryError, TooManyRequests

OURS = "urn:enopax:problem:"
STATUSES: Mapping[int, type[EnopaxError]] = {
    400: errors.Malformed,
    401: errors.Unauthenticated,
    402: errors.PaymentRequired,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    412: errors.PreconditionFailed,
    422: errors.Invalid,
    502: errors.Unavailable,  # of a proxy before a server that is away
    503: errors.Unavailable,
    504: errors.Unavailable,
}


def failure(status: int, body: Any, headers: Mapping[str, str]) -> EnopaxError:
    """The error to raise. `body`: the answer as JSON, None where it is none."""
    problem = body if isinstance(body, dict) else {}
    message = str(problem.get("detail") or problem.get("error") or f"The server answered with status {status}.")
    type_ = str(problem.get("type", ""))
    kind = _classes().get(type_.removeprefix(OURS)) if type_.startswith(OURS) else None
    if status == 429 or kind is TooManyRequests:
        return TooManyRequests(message, retry_after=retry_after(headers) or 1.0)
    if kind is Refused or (kind is None and type_ not in ("", "about:blank")):
        return Refused(message, status=status, type=type_)  # a plugin's own
    if kind is not None and issubclass(kind, TemporaryError):
        seconds = retry_after(headers)
        return kind(message, retry_after=None if seconds is None else timedelta(seconds=seconds))
    kind = kind or STATUSES.get(status, EnopaxError)
    return kind(message, faults=[Fault(str(f.get("pointer", "")), str(f.get("message", ""))) for f in problem.get("errors", [])])


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: a number or a date (RFC 9110, 10.2.3)."""
    value = headers.get("retry-after", "")
    if value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _classes() -> Mapping[str, type[EnopaxError]]:
    def below(kind: type[EnopaxError]) -> Iterator[type[EnopaxError]]:
        yield kind
        for derived in kind.__subclasses__():
            yield from below(derived)

    return {kind.code: kind for kind in below(EnopaxError) if kind.__module__ == errors.__name__}
