"""The server as a process of its own, and real clients beside it: what an operator and their users have."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

SERVE = (sys.executable, "-m", "enopax_core.cli", "serve")
PATIENCE = 60.0  # seconds until something that must happen is called missing; nothing is decided by it otherwise


def eventually(what: str, seen: Any, seconds: float = PATIENCE) -> Any:
    """Ask until the answer is true; fail with `what` if it never is."""
    until = time.monotonic() + seconds
    while True:
        found = seen()
        if found:
            return found
        assert time.monotonic() < until, f"never: {what}"
        time.sleep(0.02)


class Server:
    """`enopax serve` on one data directory; started, stopped, killed and started again."""

    def __init__(self, data_dir: Path, *options: str, **environ: str) -> None:
        self.data_dir, self.options, self.environ = data_dir, options, environ
        self.ports = (0, 0)  # of the API and of SSH; 0 is a free one
        self.log = data_dir.parent / f"{data_dir.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.announced: Mapping[str, Any] = {}
        self._client: httpx.Client | None = None

    def start(self) -> Server:
        """Start it; return when it takes requests."""
        self.spawn()
        self.announced = eventually("the server says where it is", self._announcement)
        key = Path(self.announced["owner_key_file"]).read_text().strip()
        self._client = httpx.Client(base_url=self.url, headers={"X-API-Key": key}, timeout=PATIENCE)
        return self

    def spawn(self) -> None:
        """Start it, and do not wait for anything."""
        ports = ("--port", str(self.ports[0]), "--ssh-port", str(self.ports[1]))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*SERVE, "--data-dir", str(self.data_dir), *ports, *self.options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.data_dir.parent,
                env={**os.environ, **self.environ},
            )

    def _announcement(self) -> Any:
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended: {self.said()[-2000:]}"
        with contextlib.suppress(FileNotFoundError, ValueError):
            found = json.loads((self.data_dir / "server.json").read_text())
            return found if found["pid"] == self.process.pid else None
        return None

    # ── What is known of it ───────────────────────────────────────────────────────────────────────────────────────────

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self.process is not None
        return self.process.pid

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        url: str = self.announced["url"]
        return url

    @property
    def ssh_port(self) -> int:
        """Where Git's clients reach it over SSH."""
        port: int = self.announced["ssh"]["port"]
        return port

    @property
    def api(self) -> httpx.Client:
        """The owner's client."""
        assert self._client is not None
        return self._client

    def said(self) -> str:
        """Everything it has written since the first start."""
        return self.log.read_text(errors="replace")

    def ssh_child(self) -> int:
        """Process id of the child that speaks SSH."""
        return int(eventually("the process that speaks SSH", lambda: next(iter(children(self.pid)), 0)))

    # ── What is done to it ────────────────────────────────────────────────────────────────────────────────────────────

    def stop(self) -> int:
        """Ask it to stop, as a service manager does; its exit status."""
        self.send(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it as a power cut does."""
        self.send(signal.SIGKILL)
        self.wait()

    def send(self, number: int) -> None:
        """A signal to the server alone."""
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self) -> int:
        """Exit status, once it has ended."""
        assert self.process is not None
        status = self.process.wait(PATIENCE)
        if self._client is not None:
            self._client.close()
            self._client = None
        return status

    def close(self) -> None:
        """End it, in whatever state it is."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        elif self._client is not None:
            self._client.close()
            self._client = None


@contextlib.contextmanager
def serving(data_dir: Path, *options: str, **environ: str) -> Iterator[Server]:
    """A server that runs from here to the end of the block."""
    server = Server(data_dir, *options, **environ)
    try:
        yield server.start()
    finally:
        server.close()


def refused(directory: Path, *options: str, **environ: str) -> str:
    """What it says when it refuses to start: one line, no traceback, a status other than 0."""
    ended = subprocess.run(
        [*SERVE, "--port", "0", "--ssh-port", "0", *options],
        cwd=directory,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode not in (0, None), ended.stdout
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    return ended.stderr.strip()


def children(pid: int) -> list[int]:
    """Process ids of the direct children."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return sorted(
            int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
        )
    return []


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not yet waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")
