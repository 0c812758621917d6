"""uvicorn's HTTP protocol with the limits it does not have: time and size of headers, silence, connections per address.

Measured with uvicorn 0.54: a silent connection, half a header and half a body are never cut. The time a body may take is
the application's business: it alone knows which bodies are streams.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

TITLES = {400: "Malformed request", 408: "Request took too long", 431: "Headers too large", 503: "Unavailable"}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one connection may do."""

    header_bytes: int = 32 * 1024
    header_seconds: float = 30.0  # from the connection, or the first byte of a later request, to the end of the headers
    connections_per_address: int = 512
    connections: int = 4096


class LimitedProtocol(HttpToolsProtocol):
    """One connection. `limits` is set by a subclass made for one server: uvicorn constructs protocols itself."""

    limits: ClassVar[Limits] = Limits()
    per_address: ClassVar[Counter[str]] = Counter()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn's own
        super().connection_made(transport)
        self._header_bytes = 0
        self._in_headers = False
        self._address = self.client[0] if self.client else ""
        self.per_address[self._address] += 1
        self._timer: asyncio.TimerHandle | None = None
        if (
            self.per_address[self._address] > self.limits.connections_per_address
            or len(self.connections) > self.limits.connections
        ):
            self._refuse(503, "Too many connections.")
        else:
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self.per_address[self._address] -= 1
        if self.per_address[self._address] <= 0:
            del self.per_address[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self.transport.is_closing():
            return
        if self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._start_timer()
        if self._waits_for_headers:
            self._header_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # no protocol is upgraded to: the request is answered as it stands
        except (httptools.HttpParserError, ValueError, UnicodeError):
            self._refuse(400, "This is not a valid HTTP request.")
            return
        if self._waits_for_headers and self._header_bytes > self.limits.header_bytes:
            self._refuse(431, f"Headers may have {self.limits.header_bytes} bytes.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = True

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._stop_timer()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        self._header_bytes = 0
        if size > self.limits.header_bytes:
            self._refuse(431, f"Headers may have {self.limits.header_bytes} bytes.")
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self.transport.is_closing():
            super().on_message_complete()

    @property
    def _waits_for_headers(self) -> bool:
        return self._in_headers or self._timer is not None

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self.limits.header_seconds, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if self._in_headers:
            self._refuse(408, f"The headers were not complete after {self.limits.header_seconds:.0f} s.")
        else:
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        self._stop_timer()
        if self.transport.is_closing():
            return
        body = json.dumps(
            {
                "type": "about:blank",
                "title": TITLES[status],
                "status": status,
                "detail": message,
                "success": False,
                "error": message,
            }
        ).encode()
        head = b"content-type: application/problem+json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()


def protocol_class(limits: Limits) -> type[LimitedProtocol]:
    """A protocol for one server, with its limits and its count of connections."""
    own: dict[str, Any] = {"limits": limits, "per_address": Counter()}
    return type("ServerProtocol", (LimitedProtocol,), own)
