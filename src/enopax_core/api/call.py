"""One HTTP call: the request, who makes it, and what its headers and parameters ask for."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

import anyio
from starlette.requests import ClientDisconnect, Request

from enopax_core.api.problems import HttpError
from enopax_core.api.wire import loads
from enopax_core.core.core import Core
from enopax_core.errors import Fault, Malformed
from enopax_core.records.principal import Presented, Principal
from enopax_core.records.resource import Status

BODY_LIMIT = 1 << 20  # bytes
BODY_SECONDS = 30.0
LONGEST_WAIT = 60.0
KEY = re.compile(r"^[\x21-\x7e]{1,255}$")
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
SPLIT = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*")+')  # at commas, but not at those in quotes
PREFERENCE = re.compile(r'\s*(?P<name>[\w!#$%&\'*+.^`|~-]+)\s*(?:=\s*(?:"(?P<quoted>[^"\\]*)"|(?P<token>[^\s";]*)))?\s*(?:;.*)?$')


@dataclass(frozen=True, kw_only=True)
class Call:
    """What a handler gets."""

    core: Core
    request: Request
    principal: Principal

    @property
    def endpoint(self) -> str:
        """Segment of the provider in the path."""
        return str(self.request.path_params["endpoint"])

    @property
    def id(self) -> str:
        """Id in the path."""
        return str(self.request.path_params["id"])

    @property
    def method(self) -> str:
        """What is asked for; HEAD is a GET without its body."""
        return "GET" if self.request.method == "HEAD" else self.request.method

    def url(self, path: str) -> str:
        """A path of this application, below whatever prefix it is mounted at."""
        return f"{self.request.scope.get('root_path', '').rstrip('/')}{path}"

    # ── Parameters ────────────────────────────────────────────────────────────────────────────────────────────────────

    def required(self, *names: str) -> list[str]:
        """Query parameters that must be there. Raises Malformed naming all that are missing."""
        values = self.request.query_params
        missing = [name for name in names if not values.get(name)]
        if missing:
            raise Malformed(
                f"The query parameters {' and '.join(missing)} are required.",
                faults=[Fault(name, "This query parameter is required.") for name in missing],
            )
        return [values[name] for name in names]

    def flag(self, name: str) -> bool:
        """A query parameter that is `true` or `false`. Raises Malformed."""
        value = self.request.query_params.get(name, "false")
        if value not in ("true", "false"):
            raise Malformed(f"{name} must be true or false.", faults=[Fault(name, "This must be true or false.")])
        return value == "true"

    def paging(self) -> tuple[int, int]:
        """Position to begin behind, and size of the page. Raises Malformed."""
        size, token = self.request.query_params.get("page_size", "100"), self.request.query_params.get("page_token")
        if not re.fullmatch(r"[0-9]{1,4}", size) or not 1 <= int(size) <= 1000:
            raise Malformed("page_size must be 1 to 1000.", faults=[Fault("page_size", "This must be 1 to 1000.")])
        if token is None:
            return 0, int(size)
        try:
            after = int(base64.urlsafe_b64decode(token.encode("ascii") + b"==").decode("ascii").removeprefix("p"))
        except (ValueError, binascii.Error, UnicodeError):
            after = -1
        if after < 0 or after > 2**62 or page_token(after) != token:
            raise Malformed("page_token is none that was given out.", faults=[Fault("page_token", "This is no page token.")])
        return after, int(size)

    def status(self) -> str | None:
        """The filter of a list. Raises Malformed."""
        value = self.request.query_params.get("status")
        if value is not None and value not in set(Status):
            known = ", ".join(Status)
            raise Malformed(f"status must be one of {known}.", faults=[Fault("status", f"This must be one of {known}.")])
        return value

    def last_event(self) -> int | None:
        """Where a stream begins again. Raises Malformed."""
        value = self.last_event_id()
        if value is None:
            return None
        if not re.fullmatch(r"[0-9]{1,18}", value):
            raise Malformed("Last-Event-ID must be a number.", faults=[Fault("last_event_id", "This must be a number.")])
        return int(value)

    def last_event_id(self) -> str | None:
        """What a stream gave as the id of the last event that its reader has seen."""
        return self.request.headers.get("last-event-id") or self.request.query_params.get("last_event_id") or None

    # ── Headers ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def wait(self) -> tuple[float, str | None]:
        """Seconds to wait for an operation (RFC 7240), and what `Preference-Applied` says."""
        asked = preferences(",".join(self.request.headers.getlist("prefer")))
        wait = asked.get("wait", "")
        if re.fullmatch("[0-9]+", wait):
            seconds = min(float(wait), LONGEST_WAIT)
            return seconds, f"wait={int(seconds)}"
        if asked.get("respond-async") == "":
            return 0.0, "respond-async"
        return float(self.core.settings.wait_seconds), None

    def etags(self) -> list[str] | None:
        """What `If-Match` demands; None without it. Weak tags never match: the comparison is strong."""
        given = self.request.headers.getlist("if-match")
        if not given:
            return None
        return [tag for tag in re.findall(r'W/"[^"]*"|"[^"]*"|\*', ",".join(given)) if not tag.startswith("W/")]

    def idempotency_key(self) -> str | None:
        """The key of the request, bare or quoted. Raises Malformed."""
        key = self.request.headers.get("idempotency-key")
        if key is None:
            return None
        if len(key) >= 2 and key[0] == key[-1] == '"':
            key = key[1:-1]
        if not KEY.fullmatch(key):
            raise Malformed("Idempotency-Key must be 1 to 255 visible ASCII characters.")
        return key

    # ── Body ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def json(self, limit: int = BODY_LIMIT) -> Any:
        """The body; None where there is none. Raises Malformed, HttpError (408, 413, 415)."""
        body = await read_body(self.request, limit)
        if not body:
            return None
        media = self.request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if media != "application/json" and not media.endswith("+json"):
            raise HttpError(415, "Send the body as application/json.")
        return loads(body)


async def read_body(request: Request, limit: int) -> bytes:
    """The raw body, read once. Raises HttpError: 413 past the limit, 408 when it is not complete in time."""
    kept = getattr(request.state, "body", None)
    if kept is not None:
        return bytes(kept)
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > limit:
        raise HttpError(413, f"A body may have {limit} bytes.", {"Connection": "close"})
    body = bytearray()
    try:
        with anyio.fail_after(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise HttpError(413, f"A body may have {limit} bytes.", {"Connection": "close"})
    except TimeoutError as error:
        raise HttpError(408, f"The request was not complete after {BODY_SECONDS:.0f} s.", {"Connection": "close"}) from error
    except ClientDisconnect as error:
        raise HttpError(400, "The request ended early.", {"Connection": "close"}) from error
    request.state.body = bytes(body)
    return bytes(body)


def preferences(header: str) -> dict[str, str]:
    """Preferences by name, "" where one has no value; the first of a name counts (RFC 7240, section 2)."""
    found: dict[str, str] = {}
    for preference in SPLIT.findall(header):
        match = PREFERENCE.match(preference)
        if match:
            value = match["quoted"] if match["quoted"] is not None else match["token"]
            found.setdefault(match["name"].lower(), value or "")
    return found


def page_token(position: int) -> str:
    """Where the next page begins, opaque to clients."""
    return base64.urlsafe_b64encode(f"p{position}".encode()).decode().rstrip("=")


def presented_by(request: Request) -> Presented:
    """What a request shows to say who makes it. Raises Malformed."""
    authorization = request.headers.get("authorization", "")
    scheme, _, value = authorization.partition(" ")
    token, basic = request.headers.get("x-api-key"), None
    if token is None and scheme.lower() == "bearer":
        token = value.strip()
    elif token is None and scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(value.strip(), validate=True).decode("utf-8").partition(":")
        except (binascii.Error, ValueError) as error:
            raise Malformed("The Authorization header is not valid Basic.") from error
        basic = (user, password)
    return Presented(
        address=request.client.host if request.client else "",
        token=token or None,
        basic=basic,
        query_token=request.query_params.get("token") or None,
    )
