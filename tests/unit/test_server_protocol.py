"""The limits of connections and headers, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import pytest

from enopax_core.server import protocol
from enopax_core.server.protocol import Limits, address_group
from enopax_core.server.run import listen, run
from enopax_core.server.stop import Stop

pytestmark = pytest.mark.anyio
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


heard: asyncio.Queue[str] = asyncio.Queue()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """`/echo` answers with the body, `/refuse` with 401 and `/large` with 413 before the body is read.

    `/late` looks at the body late, `/stream` answers while it comes and puts what it heard last into `heard`.
    """
    status, body, headers = 200, scope["path"].encode(), []
    if scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (message := await receive())["type"] != "http.disconnect":
            pass
        heard.put_nowait(message["type"])
        return
    if scope["path"] == "/late":
        await asyncio.sleep(100)
    if scope["path"] in ("/echo", "/late"):
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
    elif scope["path"] == "/refuse":
        status, body = 401, b"no"
    elif scope["path"] == "/large":
        status, body, headers = 413, b"too large", [(b"connection", b"close")]
    elif scope["path"] == "/slow":
        await asyncio.sleep(0.3)
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """A connection that sends exactly what a test says."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> Answer:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
        return Answer(int(head[0].split()[1]), headers, await self.reader.readexactly(int(headers["content-length"])))

    async def problem(self) -> dict[str, Any]:
        answer = await self.answer()
        assert answer.headers["content-type"] == "application/problem+json"
        problem: dict[str, Any] = json.loads(answer.body)
        assert problem["status"] == answer.status
        assert problem["success"] is False
        assert problem["error"] == problem["detail"]
        assert problem.keys() == {"type", "title", "status", "detail", "success", "error"}
        return problem

    async def ended(self) -> bool:
        """Wait for the server to end the connection; whether it said nothing more."""
        return await self.reader.read() == b""


@dataclass
class Server:
    port: int
    clients: list[Client]

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client


@contextlib.asynccontextmanager
async def serving(**limits: Any) -> AsyncIterator[Server]:
    listener, stop, ready = listen("127.0.0.1", 0), Stop(), asyncio.Event()
    server = Server(listener.getsockname()[1], [])
    running = asyncio.create_task(
        run(app, listener, ready=ready.set, drain=lambda: None, grace=5, stop=stop, limits=Limits(**limits))
    )
    await ready.wait()
    try:
        yield server
    finally:
        for client in server.clients:
            client.writer.close()
        stop.ask()
        stop.ask()
        await running


class Hands:
    """Those of the loop's clock: half a minute passes when a test says so, and on a slow machine nothing is late."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        real, self._ahead = loop.time, 0.0
        monkeypatch.setattr(loop, "time", lambda: real() + self._ahead)

    async def move(self, seconds: float) -> None:
        """Time passes, after all that has been sent has arrived, which in this process takes a few turns of the loop."""
        await self._turn()
        self._ahead += seconds
        await self._turn()

    async def _turn(self) -> None:
        for _ in range(100):
            await asyncio.sleep(0)


@pytest.fixture
async def hands(anyio_backend: str, monkeypatch: pytest.MonkeyPatch) -> Hands:
    """The clock of the test's loop."""
    return Hands(monkeypatch)


# ── Time ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_connection_that_says_nothing_is_cut() -> None:
    async with serving(header_seconds=0.1) as server:
        assert await (await server.connect()).ended()


async def test_headers_that_never_end_are_answered_with_408_and_cut(hands: Hands) -> None:
    async with serving(header_seconds=30) as server:
        client = await server.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        await hands.move(31)
        assert (await client.problem())["title"] == "Request took too long"
        assert await client.ended()


async def test_headers_that_come_byte_by_byte_are_cut_as_well(hands: Hands) -> None:
    async with serving(header_seconds=30) as server:
        client = await server.connect()
        for piece in (b"GET / HTTP/1.1\r\nHost: ", b"x", b"x", b"x"):
            await client.send(piece)
            await hands.move(8)
        assert (await client.problem())["status"] == 408


async def test_the_headers_of_a_second_request_have_their_own_time(hands: Hands) -> None:
    async with serving(header_seconds=30) as server:
        client = await server.connect()
        await client.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer()).body == b"/a"
        await hands.move(20)
        await client.send(b"GET /b HTTP/1.1\r\n")
        await hands.move(20)
        await client.send(b"Host: x\r\n\r\nGET /c HTTP/1.1\r\n")
        assert (await client.answer()).body == b"/b"
        await hands.move(31)
        assert (await client.problem())["status"] == 408


async def test_a_connection_idle_between_requests_is_cut_without_a_word() -> None:
    async with serving(header_seconds=30, idle_seconds=0.2) as server:
        client = await server.connect()
        await client.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer()).status == 200
        assert await client.ended()


async def test_blank_lines_do_not_keep_a_connection_open(hands: Hands) -> None:
    async with serving(header_seconds=30) as server:
        client = await server.connect()
        for _ in range(4):
            await client.send(b"\r\n")
            await hands.move(8)
        assert await client.ended()


async def test_a_body_of_which_nothing_comes_is_answered_with_408() -> None:
    async with serving(idle_seconds=0.2) as server:
        client = await server.connect()
        await client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        assert (await client.problem())["status"] == 408
        assert await client.ended()


async def test_a_body_may_take_long_as_long_as_it_moves(hands: Hands) -> None:
    async with serving(idle_seconds=75, header_seconds=30) as server:
        client = await server.connect()
        await client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10):
            await hands.move(50)
            await client.send(b"x")
        assert (await client.answer()).body == b"x" * 10


async def test_a_stream_that_falls_silent_ends_for_the_application_and_for_the_client() -> None:
    async with serving(idle_seconds=0.2) as server:
        client = await server.connect()
        await client.send(b"POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        assert await heard.get() == "http.disconnect"
        assert (await client.reader.read()).endswith(b"\r\nbegun\r\n")  # cut off, as no last chunk says


async def test_a_client_does_not_pay_for_an_application_that_takes_its_time(hands: Hands) -> None:
    async with serving(idle_seconds=75) as server:
        waiting, sending = await server.connect(), await server.connect()
        await waiting.send(b"POST /late HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        await sending.send(b"POST /late HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n")
        much = asyncio.create_task(sending.send(b"x" * 5_000_000))
        await hands.move(90)
        await hands.move(20)
        await much
        assert await waiting.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await waiting.send(b"body")
        assert (await waiting.answer()).body == b"body"
        assert len((await sending.answer()).body) == 5_000_000


# ── Size ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_headers_of_more_than_32_kib_are_answered_with_431() -> None:
    async with serving() as server:
        client = await server.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Large: " + b"x" * 33_000 + b"\r\n\r\n")
        assert (await client.problem())["title"] == "Headers too large"
        assert await client.ended()


async def test_headers_are_refused_before_they_end() -> None:
    async with serving() as server:
        client = await server.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Many: y\r\n" * 4_000)
        assert (await client.problem())["status"] == 431


async def test_a_long_address_counts_as_headers() -> None:
    async with serving() as server:
        client = await server.connect()
        await client.send(b"GET /" + b"x" * 40_000)
        assert (await client.problem())["status"] == 431


async def test_headers_of_30_kib_are_fine_and_a_body_is_no_header() -> None:
    async with serving() as server:
        client = await server.connect()
        for _ in range(2):
            await client.send(
                b"POST /echo HTTP/1.1\r\nHost: x\r\nX-Large: " + b"x" * 30_000 + b"\r\nContent-Length: 300000\r\n\r\n"
            )
            await client.send(b"y" * 300_000)
            assert len((await client.answer()).body) == 300_000


async def test_a_client_that_sends_on_still_reads_why_its_body_is_refused() -> None:
    async with serving() as server:
        client = await server.connect()
        await client.send(b"POST /large HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n")
        for _ in range(20):  # without patience the connection is reset in here, and the answer lost
            await client.send(b"x" * 1_000_000)
        assert (await client.answer()).status == 413
        assert await client.ended()


async def test_a_body_that_comes_after_its_answer_is_discarded_and_the_connection_goes_on() -> None:
    async with serving() as server:
        client = await server.connect()
        await client.send(b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n")
        assert (await client.answer()).status == 401
        await client.send(b"x" * 500_000)
        await client.send(b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer()).body == b"/next"


async def test_a_body_that_never_ends_after_its_answer_is_cut(hands: Hands) -> None:
    async with serving(header_seconds=30) as server:
        client = await server.connect()
        await client.send(b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n")
        assert (await client.answer()).status == 401
        await client.send(b"x")
        await hands.move(31)
        assert await client.ended()


async def test_a_body_that_was_only_offered_does_not_become_the_next_request() -> None:
    async with serving() as server:
        client = await server.connect()
        await client.send(b"POST /refuse HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert (await client.answer()).status == 401
        assert await client.ended()


# ── Form ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: one\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["tls", "garbage", "no-colon", "not-ascii", "smuggling", "length", "connect"],
)
async def test_what_is_not_http_is_answered_with_400(request_bytes: bytes) -> None:
    async with serving() as server:
        client = await server.connect()
        await client.send(request_bytes)
        assert (await client.problem())["title"] == "Malformed request"
        assert await client.ended()


async def test_a_malformed_chunk_ends_the_request_with_400() -> None:
    async with serving() as server:
        client = await server.connect()
        await client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        await client.send(b"nonsense\r\n")
        assert (await client.problem())["status"] == 400


async def test_a_malformed_second_request_does_not_disturb_the_answer_to_the_first() -> None:
    async with serving() as server:
        client = await server.connect()
        await client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGARBAGE\r\n\r\n")
        assert (await client.answer()).body == b"/slow"
        assert await client.ended()


async def test_requests_sent_at_once_are_answered_in_order() -> None:
    async with serving() as server:
        client = await server.connect()
        await client.send(b"".join(b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % path for path in (b"slow", b"b", b"c")))
        assert [(await client.answer()).body for _ in range(3)] == [b"/slow", b"/b", b"/c"]


@pytest.mark.parametrize(
    "framed",
    [
        b"Content-Length: 31\r\n%s\r\nGET /inside HTTP/1.1\r\nHost: x\r\n",
        b"Transfer-Encoding: chunked\r\n%s\r\n1f\r\nGET /inside HTTP/1.1\r\nHost: x\r\n\r\n0\r\n\r\n",
    ],
    ids=["length", "chunked"],
)
@pytest.mark.parametrize("pieces", [1, 2, 1000])
async def test_a_client_that_offers_http_2_is_answered_and_may_go_on(framed: bytes, pieces: int) -> None:
    """As Java's client does with its first request; its body is a body, even one that looks like a request."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAA\r\n"
    async with serving() as server:
        client = await server.connect()
        data = b"POST /echo HTTP/1.1\r\nHost: x\r\n" + framed % offer + b"GET /second HTTP/1.1\r\nHost: x\r\n" + offer + b"\r\n"
        size = -(-len(data) // pieces)
        for start in range(0, len(data), size):
            await client.send(data[start : start + size])
            await asyncio.sleep(0)
        assert (await client.answer()).body == b"GET /inside HTTP/1.1\r\nHost: x\r\n"
        assert (await client.answer()).body == b"/second"
        await client.send(b"GET /third HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer()).body == b"/third"


async def test_no_answer_says_what_the_server_is_made_of() -> None:
    async with serving() as server:
        client = await server.connect()
        await client.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        good = await client.answer()
        await client.send(b"GARBAGE\r\n\r\n")
        bad = await client.answer()
        assert "server" not in good.headers | bad.headers
        assert b"uvicorn" not in good.body + bad.body


# ── Number ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_more_connections_than_the_server_takes_are_refused_with_503() -> None:
    async with serving(connections=2) as server:
        kept = [await server.connect() for _ in range(2)]
        assert (await (await server.connect()).problem())["status"] == 503
        kept[0].writer.close()
        await kept[0].writer.wait_closed()
        await kept[1].send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await kept[1].answer()).status == 200


async def test_one_address_may_not_have_all_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "address_group", lambda address: address)  # tests come from loopback alone
    async with serving(connections_per_address=1) as server:
        first = await server.connect()
        second = await server.connect()
        assert (await second.problem())["detail"] == "Too many connections."
        assert await second.ended()
        await first.send(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await first.answer()).status == 200
        assert await first.ended()
        again = await server.connect()
        await again.send(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await again.answer()).body == b"/b"


async def test_this_machine_may_have_any_number_of_connections() -> None:
    async with serving(connections_per_address=1) as server:
        for client in [await server.connect() for _ in range(5)]:
            await client.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await client.answer()).status == 200


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002"),
        ("fe80::1%eth0", "fe80:0000:0000:0000"),
        ("127.0.0.1", ""),
        ("::1", ""),
        ("::ffff:127.0.0.1", ""),
        ("", ""),
    ],
)
def test_addresses_count_by_who_owns_them(address: str, group: str) -> None:
    assert address_group(address) == group
