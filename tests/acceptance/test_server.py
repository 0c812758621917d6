"""`enopax serve` with its bundled providers: starting, draining, being killed and starting again."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from plugins.enopax_script.tests.scriptkit import write_folder
from tests.acceptance import serverkit
from tests.acceptance.serverkit import Server, eventually, refused, serving

PLACE = {"organisationName": "Acme", "projectName": "Web"}
ASYNC = {"Prefer": "respond-async"}
EXAMPLE = "/v1/example"


def ended(server: Server, operation: str) -> dict[str, Any]:
    """An operation, once it has ended."""
    path = f"/v1/operations/{operation}"

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = server.api.get(path).json()
        return found if found["state"] in ("succeeded", "failed", "cancelled") else None

    found: dict[str, Any] = eventually("the operation ends", look)
    return found


# ── Starting ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_announces_where_everything_is_and_takes_it_back(server: Server) -> None:
    file, key = server.data_dir / "server.json", server.data_dir / "owner.key"
    assert {"url", "pid", "version", "owner_key_file", "ssh"} <= server.announced.keys()
    assert server.announced["owner_key_file"] == str(key)
    assert file.stat().st_mode & 0o777 == 0o600
    assert key.stat().st_mode & 0o777 == 0o600
    assert server.data_dir.stat().st_mode & 0o077 == 0
    with socket.create_connection(("127.0.0.1", server.ssh_port)) as ssh:
        assert ssh.recv(8).startswith(b"SSH-2.0-")
    assert server.url in server.said()
    owner = key.read_text()
    assert owner.strip() not in server.said()

    assert server.stop() == 0
    assert not file.exists()
    server.start()
    assert key.read_text() == owner


def test_a_second_server_on_the_same_data_directory_is_refused(server: Server) -> None:
    said = refused(server.data_dir.parent, "--data-dir", str(server.data_dir))
    assert said.startswith("enopax: Another server runs on")
    assert json.loads((server.data_dir / "server.json").read_text())["pid"] == server.pid
    assert server.api.get("/readyz").status_code == 200


def test_without_keys_it_listens_on_loopback_alone(data_dir: Path) -> None:
    said = refused(data_dir.parent, "--data-dir", str(data_dir), "--no-auth", "--host", "0.0.0.0")
    assert said.startswith("enopax: --no-auth is for loopback only")
    with serving(data_dir, "--no-auth") as server:
        assert httpx.get(f"{server.url}{EXAMPLE}", params={"org": "Acme", "project": "Web"}).status_code == 200


def test_a_port_of_another_process_is_told_in_a_sentence(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = refused(data_dir.parent, "--data-dir", str(data_dir), "--port", port)
        assert said == f"enopax: Cannot listen on 127.0.0.1 port {port}: Address already in use."
        said = refused(data_dir.parent, "--data-dir", str(data_dir), "--ssh-port", port)
        assert f"127.0.0.1 port {port}: Address already in use" in said
        assert "--ssh-port" in said
    assert not (data_dir / "server.json").exists()


@pytest.mark.parametrize(
    ("line", "near"),
    [
        ("prot = 3001", "port"),
        ("[gti]\nfree_bytes = 1", "git"),
        ("[git]\nfree_byte = 1", "free_bytes"),
        ("disabled_plugins = ['gti']", "git"),
    ],
)
def test_a_key_that_nobody_knows_is_refused_with_the_nearest_name(data_dir: Path, line: str, near: str) -> None:
    data_dir.mkdir()
    (data_dir / "enopax.toml").write_text(line + "\n")
    assert refused(data_dir.parent, "--data-dir", str(data_dir)).endswith(f"Did you mean {near}?")


def test_options_beat_environment_beats_file(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "enopax.toml").write_text('host = "192.0.2.1"\nlog_format = "json"\n[git]\nfree_bytes = 100000\nssh_port = 1\n')
    environ = {"ENOPAX_HOST": "192.0.2.2", "ENOPAX_GIT_FREE_BYTES": "200000", "ENOPAX_SSH_PORT": "1"}
    with serving(data_dir, "--host", "127.0.0.1", **environ) as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert server.ssh_port > 1
        providers = server.api.get("/providers/info").json()["providers"]
        git = next(provider for provider in providers if provider["endpoint"] == "git-repo")
        assert git["plans"][0]["limits"]["bytes"] == 200_000


# ── Stopping ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_waiting_request_gets_its_202_when_the_server_stops_and_the_work_goes_on_after(data_dir: Path) -> None:
    gate = data_dir.with_name("gate")
    write_folder(data_dir / "providers/thing", provision=f"while [[ ! -e {gate} ]]; do sleep 0.05; done")
    answers: list[httpx.Response] = []
    with serving(data_dir) as server:
        url, headers = server.url, {**server.api.headers, "Prefer": "wait=60"}

        def provision() -> None:
            answers.append(httpx.post(f"{url}/v1/thing", json={"name": "slow", **PLACE}, headers=headers, timeout=90))

        waiting = threading.Thread(target=provision)
        waiting.start()
        assert eventually("the request is accepted", lambda: server.api.get("/v1/thing", params=WHERE).json()["resources"])
        server.send(signal.SIGTERM)
        waiting.join()
        assert server.wait() == 0
        assert answers[0].status_code == 202
        operation = answers[0].json()["operation"]

        gate.touch()
        server.start()
        assert ended(server, operation)["state"] == "succeeded"
        assert server.api.get(answers[0].headers["location"].removeprefix(url)).status_code == 200


WHERE = {"org": "Acme", "project": "Web"}


def test_while_it_drains_readiness_is_503_and_requests_are_answered(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unhurried = "import enopax_core.server.run as run; run.DRAIN_SECONDS = 60; from enopax_core.cli import main; main()"
    monkeypatch.setattr(serverkit, "SERVE", (sys.executable, "-c", unhurried, "serve"))
    with serving(data_dir, "--grace", "240") as server:
        assert server.api.get("/readyz").status_code == 200
        server.send(signal.SIGTERM)
        assert eventually("readiness falls", lambda: server.api.get("/readyz").status_code == 503)
        assert server.api.get(EXAMPLE, params=WHERE).status_code == 200
        assert server.stop() == 0  # asked again, it hurries


# ── Being killed ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_accepted_is_finished_after_a_kill(server: Server) -> None:
    accepted = [
        server.api.post(EXAMPLE, json={"name": f"r{number}", "delay": 1, **PLACE}, headers=ASYNC).json() for number in range(10)
    ]
    server.kill()
    assert (server.data_dir / "server.json").exists()
    server.start()
    for answer in accepted:
        assert ended(server, answer["operation"])["state"] == "succeeded"
        assert server.api.get(f"{EXAMPLE}/{answer['id']}").json()["status"] == "active"
        assert (server.data_dir / "example" / f"{answer['id']}.txt").read_text() == "hello"


def test_a_frozen_server_goes_on_where_it_was(server: Server) -> None:
    answer = server.api.post(EXAMPLE, json={"name": "one", "delay": 0.5, **PLACE}, headers=ASYNC).json()
    server.send(signal.SIGSTOP)
    time.sleep(2)
    server.send(signal.SIGCONT)
    assert ended(server, answer["operation"])["state"] == "succeeded"


def test_a_kill_while_it_starts_does_no_harm(data_dir: Path) -> None:
    """Whenever it comes: migrations, the owner's key and the host key are each made whole or not at all."""
    for pause in (0.25, 0.35, 0.45, 0.55, 0.65):
        server = Server(data_dir)
        server.spawn()
        time.sleep(pause)
        server.kill()
    with serving(data_dir) as started:
        assert started.api.post(EXAMPLE, json={"name": "one", **PLACE}).status_code == 201


# ── Connections that never finish ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_connections_that_never_finish_a_request_are_cut(server: Server) -> None:
    """With the real limits of the server, 30 s (20 s to sign in over SSH): shorter ones are tested beside the protocol."""
    key = server.api.headers["x-api-key"]
    host, port = "127.0.0.1", int(server.url.rpartition(":")[2])
    half = f"POST {EXAMPLE} HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: 99\r\n"
    said = {
        "silence": b"",
        "half a header": half.encode(),
        "half a body": f'{half}\r\n{{"name": '.encode(),
    }
    connections = {what: socket.create_connection((host, port), timeout=120) for what in said}
    drip = socket.create_connection((host, port), timeout=120)
    ssh = socket.create_connection((host, server.ssh_port), timeout=120)
    try:
        for what, connection in connections.items():
            connection.sendall(said[what])
        drip.sendall(f"{half}\r\n".encode())
        assert b" 408 " in eventually("a body that comes byte by byte is refused", lambda: _drip(drip), 120)
        for what, connection in connections.items():
            answer = _rest(connection)
            assert (answer == b"") == (what == "silence"), (what, answer)
            assert what == "silence" or b" 408 " in answer.splitlines()[0], (what, answer)
        assert _rest(ssh).startswith(b"SSH-2.0-")
    finally:
        for connection in (*connections.values(), drip, ssh):
            connection.close()
    assert server.api.get(EXAMPLE, params=WHERE).json()["resources"] == []


def _drip(connection: socket.socket) -> bytes:
    """Send one more byte; what has come so far."""
    with contextlib.suppress(ConnectionError):  # it has hung up, and what it said before can still be read
        connection.sendall(b" ")
    connection.settimeout(0.5)
    try:
        return connection.recv(65536)
    except TimeoutError:
        return b""


def _rest(connection: socket.socket) -> bytes:
    """Everything until the other end hangs up."""
    found = b""
    try:
        while data := connection.recv(65536):
            found += data
    except ConnectionResetError:
        pass
    return found
