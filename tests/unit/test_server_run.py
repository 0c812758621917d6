"""The life of a server process: listening, draining, stopping."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from enopax_core.errors import StartupError
from enopax_core.server.announce import announce, withdraw
from enopax_core.server.run import allow_open_files, forms, listen, url_of

# A server of a tiny application. What happens to it is written to standard output, a line each.
PROGRAM = """
import asyncio, sys, time, threading
import uvloop
import enopax_core.server.run
from enopax_core.server.run import listen, run, url_of
from enopax_core.server.stop import Deadline, Stop

grace, deadline, enopax_core.server.run.DRAIN_SECONDS = map(float, sys.argv[1:])
draining = False

async def app(scope, receive, send):
    status, path = 200, scope["path"]
    if path == "/ready" and draining:
        status = 503
    if path == "/slow":
        print("slow began", flush=True)
        await asyncio.sleep(2)
    elif path == "/forever":
        print("forever began", flush=True)
        await asyncio.sleep(3600)
    elif path == "/thread":
        print("thread began", flush=True)
        threading.Thread(target=time.sleep, args=(3600,)).start()
    await send({"type": "http.response.start", "status": status, "headers": []})
    if path == "/stream":
        while not draining:
            await send({"type": "http.response.body", "body": b"tick", "more_body": True})
            await asyncio.sleep(0.05)
    await send({"type": "http.response.body", "body": b"done"})

def drain():
    global draining
    draining = True
    print("draining", flush=True)

async def main():
    listener, stop = listen("127.0.0.1", 0), Stop()
    with stop.on_signals(), Deadline(lambda: print("deadline", flush=True)).after(stop, deadline, deadline):
        ready = lambda: print(url_of(listener), flush=True)
        await run(app, listener, ready=ready, drain=drain, grace=grace, stop=stop)
    print("closed", flush=True)

uvloop.run(main())
"""


class Program:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.opened: list[HTTPConnection | HTTPResponse | socket.socket] = []
        self.url = self.line()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def get(self, path: str) -> HTTPResponse:
        """Send a request; the answer's head, whose body may still be coming."""
        answer = self.send(path).getresponse()
        self.opened.append(answer)
        return answer

    def send(self, path: str) -> HTTPConnection:
        connection = HTTPConnection(self.url.removeprefix("http://"), timeout=60)
        connection.request("GET", path)
        self.opened.append(connection)
        return connection

    def connect(self) -> socket.socket:
        host, port = self.url.removeprefix("http://").split(":")
        connection = socket.create_connection((host, int(port)))
        self.opened.append(connection)
        return connection

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def status(self) -> int:
        return self.process.wait(timeout=60)


@contextlib.contextmanager
def program(grace: float = 30, deadline: float = 120, drain: float = 1) -> Iterator[Program]:
    """Serve it. `deadline` is apart from the grace, so that on a slow machine it does not come before what a test waits for."""
    command = [sys.executable, "-c", PROGRAM, str(grace), str(deadline), str(drain)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    server = Program(process)
    try:
        yield server
    finally:
        process.kill()
        process.communicate()
        for opened in server.opened:
            opened.close()


# ── Stopping ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_is_answered_before_the_server_stops(number: int) -> None:
    with program() as server:
        waiting = server.send("/slow")
        assert server.line() == "slow began"
        server.signal(number)
        answer = waiting.getresponse()
        assert (answer.status, answer.read()) == (200, b"done")
        assert server.status() == 0


def test_while_it_drains_it_still_listens_and_says_that_it_is_not_ready() -> None:
    with program(grace=240, drain=60) as server:
        assert server.get("/ready").status == 200
        server.signal()
        assert server.line() == "draining"
        assert server.get("/ready").status == 503
        server.signal()
        assert server.status() == 0


def test_open_streams_do_not_hold_up_a_stop() -> None:
    with program() as server:
        stream = server.get("/stream")
        assert stream.read(4) == b"tick"
        server.signal()
        assert stream.read().endswith(b"done")
        assert server.status() == 0


def test_silent_and_half_spoken_connections_do_not_hold_up_a_stop() -> None:
    with program() as server:
        server.connect()
        server.connect().sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        assert server.get("/").status == 200
        server.signal()
        assert [server.line(), server.line()] == ["draining", "closed"]
        assert server.status() == 0


def test_a_request_that_outlasts_the_grace_is_answered_with_503() -> None:
    with program(grace=6) as server:
        waiting = server.send("/forever")
        assert server.line() == "forever began"
        server.signal()
        answer = waiting.getresponse()
        assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json")
        assert json.loads(answer.read())["success"] is False
        assert server.status() == 0


def test_a_second_signal_does_not_wait_for_requests() -> None:
    with program() as server:
        waiting = server.send("/forever")
        assert server.line() == "forever began"
        server.signal()
        assert server.line() == "draining"
        server.signal()
        assert waiting.getresponse().status == 503
        assert server.line() == "closed"
        assert server.status() == 0


def test_a_thread_that_blocks_does_not_outlast_the_grace() -> None:
    with program(deadline=3) as server:
        assert server.get("/thread").read() == b"done"
        assert server.line() == "thread began"
        server.signal()
        assert server.status() == 0  # it would be an hour
        assert server.process.stdout is not None
        assert server.process.stdout.read().endswith("deadline\n")


# ── Listening ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_taken_port_is_told_in_one_sentence() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(StartupError) as caught:
            listen("127.0.0.1", port)
        assert caught.value.message == f"Cannot listen on 127.0.0.1 port {port}: Address already in use."


def test_a_host_that_is_not_here_is_told_in_one_sentence() -> None:
    with pytest.raises(StartupError) as caught:
        listen("192.0.2.1", 0)
    assert caught.value.message == "Cannot listen on 192.0.2.1 port 0: Cannot assign requested address."


def test_the_url_is_one_that_can_be_called_from_this_machine() -> None:
    with listen("0.0.0.0", 0) as listener:
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")
def test_an_address_of_ipv6_stands_in_brackets() -> None:
    with listen("::1", 0) as listener:
        assert url_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    ("network", "seen"),
    [("192.0.2.7", "::ffff:192.0.2.7"), ("192.0.2.0/24", "::ffff:192.0.2.7"), ("2001:db8::/32", "2001:db8::7")],
)
def test_a_proxy_is_known_by_every_form_of_its_address(network: str, seen: str) -> None:
    """On a socket that listens for IPv6 and IPv4, an address of IPv4 is seen in the form of IPv6."""
    assert any(ip_address(seen) in ip_network(form) for form in forms(ip_network(network)))


def test_as_many_files_as_allowed_may_be_open() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "from enopax_core.server.run import allow_open_files as a; print(a(), a())"],
        preexec_fn=_few_files,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split() == ["500", "500"]
    assert allow_open_files() > 0


def _few_files() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 500))


# ── Announcing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_announced_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = announce(tmp_path, {"url": "http://127.0.0.1:1", "pid": 2})
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text()) == {"url": "http://127.0.0.1:1", "pid": 2}


def test_what_a_killed_server_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text('{"url": "http://127.0.0.1:1", "pid": 1}')
    (tmp_path / "server.json.new").write_text('{"half')
    announce(tmp_path, {"pid": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["server.json"]
    assert json.loads((tmp_path / "server.json").read_text()) == {"pid": 2}


def test_nothing_to_withdraw_is_fine(tmp_path: Path) -> None:
    announce(tmp_path, {})
    withdraw(tmp_path)
    withdraw(tmp_path)
    withdraw(tmp_path / "gone")
    assert not list(tmp_path.iterdir())
