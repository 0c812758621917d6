"""Errors as problem details (RFC 9457), with the two fields that older clients read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from enopax_core import errors
from enopax_core.api.wire import dumps

STATUSES: Sequence[tuple[type[errors.EnopaxError], int]] = (
    (errors.Malformed, 400),
    (errors.Unauthenticated, 401),
    (errors.PaymentRequired, 402),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.PreconditionFailed, 412),
    (errors.Invalid, 422),
    (errors.IdempotencyMismatch, 422),
    (errors.TooManyRequests, 429),
    (errors.TemporaryError, 503),
    (errors.TimedOut, 503),
    (errors.PermanentError, 409),
    (errors.Cancelled, 409),
    (errors.Unavailable, 503),
    (errors.NotOpen, 503),
)
TITLES = {
    400: "Malformed request",
    401: "Authentication needed",
    402: "Payment required",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request took too long",
    409: "Conflict",
    412: "Precondition failed",
    413: "Body too large",
    415: "Unsupported media type",
    422: "Invalid request",
    429: "Too many requests",
    431: "Headers too large",
    500: "Internal error",
    503: "Unavailable",
}
CHALLENGE = 'Bearer realm="enopax", Basic realm="enopax"'


class HttpError(errors.EnopaxError):
    """The request breaks a rule of HTTP itself: method, media type, size or time."""

    code = "http"

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}


def problem(error: errors.EnopaxError) -> Response:
    """The answer to an error. Nothing but its message and faults is shown."""
    status, headers, type_ = 500, {}, f"urn:enopax:problem:{error.code}"
    if isinstance(error, HttpError):
        status, headers = error.status, dict(error.headers)
        type_ = "about:blank"
    elif isinstance(error, errors.Refused):
        status, type_ = error.status, error.type or type_
    else:
        status = next((known for kind, known in STATUSES if isinstance(error, kind)), 500)
    if status == 401:
        headers["WWW-Authenticate"] = CHALLENGE
    if isinstance(error, errors.TooManyRequests):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    elif isinstance(error, errors.TemporaryError) and error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after.total_seconds())))
    elif status == 503 or isinstance(error, errors.RequestInFlight):
        headers["Retry-After"] = "1"
    message = error.message if status != 500 else "Something went wrong on the server; its log says what."
    return problem_response(status, message, type=type_, faults=error.faults, headers=headers)


def problem_response(
    status: int,
    message: str,
    *,
    type: str = "about:blank",
    faults: Sequence[errors.Fault] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem document."""
    body: dict[str, Any] = {
        "type": type,
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": message,
        "success": False,
        "error": message,
    }
    if faults:
        body["errors"] = [{"pointer": fault.pointer, "message": fault.message} for fault in faults]
    return Response(dumps(body), status, dict(headers or {}), media_type="application/problem+json")
