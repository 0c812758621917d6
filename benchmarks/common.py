"""What the benchmarks share: a real server in its default configuration, OpenSSH beside it, tables and JSON.

Only ratios within one run mean anything: machines differ and are noisy.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One measured figure beside its aim."""

    what: str
    measured: float
    unit: str
    aim: str = ""
    met: bool | None = None


def report(name: str, lines: list[Line]) -> None:
    """Print a table and keep it as JSON."""
    width = max(len(line.what) for line in lines)
    print(f"\n{name}\n{'─' * len(name)}")
    for line in lines:
        verdict = "" if line.met is None else "  met" if line.met else "  MISSED"
        print(f"{line.what:<{width}}  {line.measured:>10.2f} {line.unit:<6} {line.aim}{verdict}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps([asdict(line) for line in lines], indent=2) + "\n")


def median_ms(seconds: list[float]) -> float:
    """Median in milliseconds."""
    return statistics.median(seconds) * 1000


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server."""

    pid: int
    url: str
    key: str
    ssh_port: int
    data_dir: Path

    def connection(self) -> http.client.HTTPConnection:
        """A connection of one's own."""
        return http.client.HTTPConnection(self.url.removeprefix("http://"))

    def call(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: Any = None, **more: str
    ) -> tuple[int, Any]:
        """One request; status and JSON. `more` are headers."""
        headers = {"X-API-Key": self.key, "Content-Type": "application/json", **more}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content) if content else None

    def create(
        self, connection: http.client.HTTPConnection, name: str, endpoint: str = "git-repo", **more: Any
    ) -> dict[str, Any]:
        """Provision; raises RuntimeError unless it was ready at once."""
        status, body = self.call(
            connection, "POST", f"/v1/{endpoint}", {"name": name, "organisationName": "Bench", "projectName": "Bench", **more}
        )
        if status != 201:
            raise RuntimeError(f"{status}: {body}")
        created: dict[str, Any] = body
        return created

    def memory_mib(self) -> float:
        """Proportional memory of the server and its children: what is shared counts once."""
        total = 0
        for process in [self.pid, *children(self.pid)]:
            for row in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if row.startswith("Pss:"):
                    total += int(row.split()[1])
        return total / 1024


def children(pid: int) -> list[int]:
    """Ids of the child processes."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout
    return [int(line) for line in found.split()]


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """An empty directory, on the disk that the repository is on; gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="enopax-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def server(data_dir: Path) -> Iterator[Server]:
    """`enopax serve` as an operator runs it, on free ports."""
    command = [str(Path(sys.executable).with_name("enopax")), "serve", "--data-dir", str(data_dir)]
    process = subprocess.Popen(
        [*command, "--port", "0", "--ssh-port", "0"], stdout=subprocess.DEVNULL, stderr=(data_dir.parent / "server.log").open("w")
    )
    try:
        while not (data_dir / "server.json").exists():
            if process.poll() is not None:
                raise RuntimeError("The server did not start.")
            time.sleep(0.02)
        announced = json.loads((data_dir / "server.json").read_text())
        key = (data_dir / "owner.key").read_text().strip()
        yield Server(pid=process.pid, url=announced["url"], key=key, ssh_port=announced["ssh"]["port"], data_dir=data_dir)
    finally:
        process.terminate()
        process.wait(60)


@contextlib.contextmanager
def openssh(root: Path, public_key: str) -> Iterator[int]:
    """OpenSSH's server beside it, for the same key; gives its port. Needs Debian's openssh-server."""
    if not Path("/usr/sbin/sshd").exists():
        raise SystemExit("benchmarks: OpenSSH is missing. Install it with: apt-get install openssh-server")
    root.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / "host")], check=True)
    (root / "keys").write_text(public_key)
    root.chmod(0o700)
    os.makedirs("/run/sshd", exist_ok=True)  # noqa: PTH103  # sshd's own privilege separation directory
    port = free_port()
    options = {
        "HostKey": root / "host",
        "AuthorizedKeysFile": root / "keys",
        "ListenAddress": "127.0.0.1",
        "Port": port,
        "StrictModes": "no",
        "UsePAM": "no",
        "PidFile": "none",
        "PermitRootLogin": "yes",
        "MaxStartups": "100",
    }
    arguments = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", "/dev/null", *arguments], stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        yield port
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
