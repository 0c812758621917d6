"""uvicorn's HTTP protocol with the limits it does not have: time and size of headers, silence, connections per address.

Measured with uvicorn 0.54: a silent connection, half a header and half a body are never cut. How long a whole body may
take is the application's business, as it alone knows which bodies are streams; here a body only has to keep coming. What
comes in one piece, as almost every request does, starts no timer: that costs 3 µs.
"""

from __future__ import annotations

import asyncio
import enum
from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import Any, ClassVar, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from enopax_core.server.problem import MEDIA_TYPE, problem_body
from enopax_core.server.transport import LingeringTransport


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one connection may do."""

    header_bytes: int = 32 * 1024
    header_seconds: float = 30.0  # from the connection, or the first byte of a later request, to the end of the headers
    idle_seconds: float = 75.0  # between two requests, and between two pieces of a body
    linger_seconds: float = 30.0  # for a client that still sends a body which is not wanted
    connections_per_address: int = 512  # loopback excepted: a reverse proxy on this machine is not one client
    connections: int = 4096


class Phase(enum.Enum):
    """Which part of a request comes next."""

    IDLE = enum.auto()
    HEADERS = enum.auto()
    BODY = enum.auto()
    REFUSED = enum.auto()  # whatever comes is ignored


class LimitedProtocol(HttpToolsProtocol):
    """One connection. `limits` is set by a subclass made for one server: uvicorn constructs protocols itself."""

    limits: ClassVar[Limits] = Limits()
    per_address: ClassVar[Counter[str]] = Counter()

    # ── The connection ────────────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn's own
        self._phase = Phase.IDLE
        self._header_bytes = 0
        self._body_began = False
        self._heard_at = self.loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._closer = LingeringTransport(
            transport, loop=self.loop, still_sending=self._still_sending, seconds=self.limits.linger_seconds
        )
        super().connection_made(cast(asyncio.Transport, self._closer))
        self._address = address_group(self.client[0] if self.client else "")
        self.per_address[self._address] += 1
        crowded = self._address and self.per_address[self._address] > self.limits.connections_per_address
        if crowded or len(self.connections) > self.limits.connections:
            self._refuse(503, "Too many connections.")
            self._closer.end()  # patience would keep what is one too many
        else:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._unset_keepalive_if_required()
        self._closer.lost()
        self.per_address[self._address] -= 1
        if self.per_address[self._address] <= 0:
            del self.per_address[self._address]
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server stops: a request in flight is answered, with no patience for what comes after it."""
        self._closer.seconds = min(1.0, self._closer.seconds)
        if not self._busy:
            self._closer.end()
        else:
            self.cycle.keep_alive = False

    def give_up(self) -> None:
        """The server stops now: a request in flight hears that it is not carried out to its end."""
        if self._busy and not self.cycle.response_started and not self.pipeline:
            self._answer(503, "The server stops; the request was not carried out to its end.")
        self._hang_up()

    # ── What comes in ─────────────────────────────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing() or self._phase is Phase.REFUSED:
            return
        self._unset_keepalive_if_required()
        if self._phase is not Phase.BODY:
            self._header_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade()
            if rest := data[upgrade.args[0] :]:
                self.data_received(rest)
                return
        except (httptools.HttpParserError, ValueError):
            self._refuse(400, "This is not a valid HTTP request.")
            return
        if self._phase is Phase.HEADERS and self._header_bytes > self.limits.header_bytes:
            self._refuse(431, self._too_large)
        elif self._phase is not Phase.IDLE or (not self._busy and self.timeout_keep_alive_task is None):
            self._watch()

    def on_message_begin(self) -> None:
        if self._phase is Phase.IDLE:
            super().on_message_begin()
            self._phase = Phase.HEADERS

    def on_headers_complete(self) -> None:
        if self._phase is not Phase.HEADERS:
            return
        self._stop_timer()
        if self._header_bytes > self.limits.header_bytes:  # what came with them counts, so look closely
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self.limits.header_bytes:
                self._refuse(431, self._too_large)
                return
        self._header_bytes = 0
        super().on_headers_complete()
        self._phase = Phase.BODY
        self._body_began = False

    def on_body(self, body: bytes) -> None:
        if self._phase is Phase.BODY:
            self._body_began = True
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._phase is not Phase.BODY or (self.parser.should_upgrade() and self._framing()):
            return
        self._phase = Phase.IDLE
        self._stop_timer()
        super().on_message_complete()
        if self.cycle.response_complete and not self.transport.is_closing():  # answered before the body had come
            self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing() or self._busy or self._phase is Phase.IDLE:
            return
        if self._phase is Phase.BODY and self.expect_100_continue and not self._body_began:
            self.transport.close()  # the client may send the body or not: what follows could not be understood
            return
        self._stop_timer()
        self._watch()  # what remains of the body is discarded, in the time that headers have

    # ── Limits ────────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _busy(self) -> bool:
        """A request has been understood and its answer is not complete."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _too_large(self) -> str:
        return f"Headers may have {self.limits.header_bytes} bytes."

    def _still_sending(self) -> bool:
        return self._phase is not Phase.IDLE

    def _decline_upgrade(self) -> None:
        """Go on in HTTP/1.1 after a request that offered another protocol.

        Java's client offers HTTP/2 with its first request. The parser takes whatever follows for that protocol, the
        body of the request included, and is of no use any more: a new one starts where the body starts.
        """
        framing = self._framing()
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        if self._phase is Phase.BODY:
            url, headers = self.url, self.headers
            self.headers = []
            self.parser.feed_data(b"POST / HTTP/1.1\r\n" + b"".join(b"%s: %s\r\n" % pair for pair in framing) + b"\r\n")
            self.url, self.headers = url, headers

    def _framing(self) -> list[tuple[bytes, bytes]]:
        """The headers that say where the body of the current request ends; none where there is no body."""
        return [pair for pair in self.headers if pair[0] in (b"content-length", b"transfer-encoding")]

    # ── Time ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _watch(self) -> None:
        """Something has to come: a request, the rest of its headers or of its body. Look again when its time is over."""
        self._heard_at = self.loop.time()
        if self._timer is None:
            in_time = self._phase is Phase.BODY and self._busy
            self._timer = self.loop.call_later(self.limits.idle_seconds if in_time else self.limits.header_seconds, self._look)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._phase is Phase.BODY and self._busy:
            self._look_at_body()
            return
        if self._busy:
            return  # the next request has begun while this one is answered; that is when its time begins
        if self._phase is Phase.HEADERS:
            self._refuse(408, f"The headers were not complete after {self.limits.header_seconds:g} s.")
        self._closer.end()  # a client that is slow or silent is not waited for

    def _look_at_body(self) -> None:
        if self.flow.read_paused or self.cycle.waiting_for_100_continue:
            self._heard_at = self.loop.time()  # the application takes its time, not the client
        left = self._heard_at + self.limits.idle_seconds - self.loop.time()
        if left > 0.001:
            self._timer = self.loop.call_later(left, self._look)
            return
        self._refuse(408, f"Nothing of the body came for {self.limits.idle_seconds:g} s.")
        self._closer.end()

    # ── Refusing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _refuse(self, status: int, message: str) -> None:
        """Answer for the request that is coming in, as far as the connection still allows it, and end the connection."""
        self._stop_timer()
        if self.transport.is_closing():
            return
        in_body, busy = self._phase is Phase.BODY, self._busy
        self._phase = Phase.REFUSED
        if busy and not in_body:
            self.cycle.keep_alive = False  # the answers to earlier requests come first, and are the last
            return
        if not in_body or (busy and not self.cycle.response_started and not self.pipeline):
            self._answer(status, message)
        self._hang_up()

    def _answer(self, status: int, message: str) -> None:
        body = problem_body(status, message)
        head = b"content-type: %s\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % (MEDIA_TYPE, len(body))
        self.transport.write(STATUS_LINE[status] + head + body)

    def _hang_up(self) -> None:
        """End the connection; an application that is at work hears of it now, not when the client has read everything."""
        if self._busy:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()


def address_group(address: str) -> str:
    """Whom an address counts for: a network of 64 bits with IPv6, as one client has a whole one; empty for this machine."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if not isinstance(found, IPv4Address):
        if found.ipv4_mapped is None:
            return "" if found.is_loopback else found.exploded[:19]
        found = found.ipv4_mapped
    return "" if found.is_loopback else str(found)


def protocol_class(limits: Limits) -> type[LimitedProtocol]:
    """A protocol for one server, with its limits and its count of connections."""
    own: dict[str, Any] = {"limits": limits, "per_address": Counter()}
    return type("ServerProtocol", (LimitedProtocol,), own)
