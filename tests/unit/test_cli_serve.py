"""`enopax serve` as an operator meets it: a process, its files, its words and its exit status."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SERVE = [sys.executable, "-m", "enopax_core.cli", "serve"]


class Server:
    def __init__(self, process: subprocess.Popen[str], data_dir: Path) -> None:
        self.process, self.data_dir = process, data_dir
        assert process.stdout is not None
        self.greeting = process.stdout.readline().strip()
        assert self.greeting, f"it did not start: {process.communicate()[1]}"

    @property
    def file(self) -> Path:
        return self.data_dir / "server.json"

    @property
    def announced(self) -> dict[str, Any]:
        announced: dict[str, Any] = json.loads(self.file.read_text())
        return announced

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        request = urllib.request.Request(self.announced["url"] + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Exit status, and everything it has logged."""
        self.process.send_signal(number)
        return self.process.wait(60), self.process.communicate()[1]


@contextlib.contextmanager
def serving(data_dir: Path, *options: str, **environ: str) -> Iterator[Server]:
    command = [*SERVE, "--data-dir", str(data_dir), "--port", "0", *options]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=data_dir.parent,
        env={**os.environ, "ENOPAX_DISABLED_PLUGINS": "git", **environ},
    )
    try:
        yield Server(process, data_dir)
    finally:
        process.kill()
        process.communicate()


def refused(directory: Path, *options: str, **environ: str) -> str:
    """What it says when it refuses to start: one line, no traceback, a status other than 0."""
    ended = subprocess.run(
        [*SERVE, "--port", "0", *options],
        cwd=directory,
        env={**os.environ, "ENOPAX_DISABLED_PLUGINS": "git", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    return ended.stderr.strip()


# ── Starting and stopping ─────────────────────────────────────────────────────────────────────────────────────────────


def test_it_says_where_it_is_and_takes_requests_at_once(data_dir: Path) -> None:
    with serving(data_dir) as server:
        assert server.greeting.endswith(f"takes requests at {server.announced['url']}")
        assert server.announced["pid"] == server.process.pid
        assert server.announced["owner_key_file"] == str(data_dir / "owner.key")
        assert server.announced["version"]
        assert server.file.stat().st_mode & 0o777 == 0o600
        assert server.get("/healthz")[0] == 200
        assert server.get("/v1/operations?org=a&project=b")[0] == 401
        key = Path(server.announced["owner_key_file"]).read_text().strip()
        assert server.get("/v1/operations?org=a&project=b", **{"X-API-Key": key})[0] == 200


def test_a_clean_stop_leaves_no_announcement_and_status_0(data_dir: Path) -> None:
    with serving(data_dir) as server:
        status, _ = server.stop()
        assert status == 0
        assert not server.file.exists()


def test_the_announcement_of_a_killed_server_is_replaced_by_the_next_start(data_dir: Path) -> None:
    with serving(data_dir) as killed:
        killed.process.kill()
        killed.process.wait()
        stale = killed.announced
    with serving(data_dir) as server:
        assert server.announced["pid"] == server.process.pid != stale["pid"]
        assert server.stop()[0] == 0
        assert not server.file.exists()


def test_a_second_server_on_the_same_data_directory_ends_at_once_and_leaves_the_first_alone(data_dir: Path) -> None:
    with serving(data_dir) as server:
        said = refused(data_dir.parent, "--data-dir", str(data_dir))
        assert said.startswith("enopax: Another server runs on")
        assert server.announced["pid"] == server.process.pid
        assert server.get("/readyz")[0] == 200


def test_a_port_that_is_taken_is_told_in_a_sentence(data_dir: Path, tmp_path: Path) -> None:
    with serving(data_dir) as server:
        port = server.announced["url"].rpartition(":")[2]
        said = refused(tmp_path, "--data-dir", "other", "--port", port)
        assert said == f"enopax: Cannot listen on 127.0.0.1 port {port}: Address already in use."


def test_an_open_event_stream_does_not_hold_up_a_stop(data_dir: Path) -> None:
    with serving(data_dir, "--no-auth") as server:
        stream = urllib.request.urlopen(server.announced["url"] + "/v1/events?org=a&project=b", timeout=60)
        assert stream.readline() == b": connected\n"
        server.process.send_signal(signal.SIGTERM)
        stream.read()
        assert server.process.wait(60) == 0


def test_a_signal_while_it_starts_is_a_clean_stop_too(data_dir: Path) -> None:
    """Whenever it comes: nobody who stops a server knows how far it was."""
    for patience in (0.3, 0.5, 0.7):
        command = [*SERVE, "--data-dir", str(data_dir), "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            time.sleep(patience)
            process.terminate()
            _, said = process.communicate(timeout=60)
            assert process.returncode in (0, -signal.SIGTERM)
            assert "Traceback" not in said
            assert not (data_dir / "server.json").exists()


# ── What it refuses ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_without_keys_it_listens_on_loopback_alone(tmp_path: Path, host: str) -> None:
    assert refused(tmp_path, "--no-auth", "--host", host).startswith("enopax: --no-auth is for loopback only")
    assert not (tmp_path / "data").exists()


def test_a_file_that_switches_authentication_off_is_held_to_the_same(tmp_path: Path) -> None:
    (tmp_path / "enopax.toml").write_text("no_auth = true\nhost = '0.0.0.0'\n")
    assert "--no-auth is for loopback only" in refused(tmp_path)


@pytest.mark.parametrize("place", ["data", "."])
def test_an_unknown_key_is_refused_with_the_nearest_name(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / "enopax.toml").write_text("prot = 3001\n")
    said = refused(tmp_path)
    assert said.endswith("there is no key prot. Did you mean port?")
    assert "enopax.toml" in said


def test_a_data_directory_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = refused(tmp_path, "--data-dir", str(tmp_path / "file"))
    assert said == f"enopax: File exists: {tmp_path / 'file'}."


def test_a_ledger_that_is_no_database_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ledger.sqlite3").write_text("no database " * 1000)
    assert refused(tmp_path).startswith("enopax: ")


# ── What it logs ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_logs_are_lines_of_json_that_never_hold_a_token(data_dir: Path) -> None:
    with serving(data_dir, "--log-level", "debug") as server:
        assert server.get("/healthz?token=secret-1", **{"X-API-Key": "secret-2", "X-Request-Id": "abc"})[0] == 200
        logged = server.stop()[1]
    lines = [json.loads(line) for line in logged.splitlines()]
    answered = next(line for line in lines if line["message"] == "GET /healthz 200")
    assert answered["request_id"] == "abc"
    assert answered["level"] == "INFO"
    assert "secret" not in logged


def test_logs_can_be_for_people(data_dir: Path) -> None:
    with serving(data_dir, "--log-format", "text") as server:
        assert server.get("/healthz", **{"X-Request-Id": "abc"})[0] == 200
        assert "INFO    GET /healthz 200 request=abc\n" in server.stop()[1]


# ── Options of plugins ────────────────────────────────────────────────────────────────────────────────────────────────


def test_options_that_a_plugin_declares_are_options_of_serve(tmp_path: Path) -> None:
    pytest.importorskip("enopax_git")
    said = subprocess.run([*SERVE, "--help"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "--ssh-port INTEGER" in said.stdout
    assert refused(tmp_path, "--ssh-port", "99999").startswith("enopax: --ssh-port: ")
    assert refused(tmp_path, ENOPAX_SSH_PORT="99999").startswith("enopax: ENOPAX_SSH_PORT: ")
    assert refused(tmp_path, ENOPAX_GIT_SSH_PORT="99999").startswith("enopax: ENOPAX_GIT_SSH_PORT: ")


def test_the_address_that_a_plugin_listens_on_is_announced(data_dir: Path) -> None:
    pytest.importorskip("enopax_git")
    with serving(data_dir, "--ssh-port", "0", ENOPAX_DISABLED_PLUGINS="") as server:
        address = server.announced["ssh"]
        assert server.process.stdout is not None
        assert server.process.stdout.readline().strip() == f"ssh: {address['host']}:{address['port']}"
