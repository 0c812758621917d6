"""A server whose provider runs services, and everything that runs because of it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from tests.acceptance.installing import install_plugin
from tests.acceptance.serverkit import Server, alive, eventually

HERE = Path(__file__).parent / "lamps"
PLACE = {"organisationName": "Acme", "projectName": "Lamps"}
WHERE = {"org": "Acme", "project": "Lamps", "page_size": "1000"}
ENDED = {"succeeded", "failed", "cancelled"}


class House:
    """A server with lamps, and what is done to both."""

    def __init__(self, server: Server) -> None:
        self.server = server

    # ── What its owner does ───────────────────────────────────────────────────────────────────────────────────────────

    def light(self, name: str) -> dict[str, Any]:
        """A new lamp."""
        answer = self.server.api.post("/v1/lamp", json={"name": name, **PLACE})
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def settled(self) -> dict[str, str]:
        """Status of every lamp by id, once nothing waits or runs any more."""

        def quiet() -> bool:
            found = self.server.api.get("/v1/operations", params=WHERE).json()
            return all(operation["state"] in ENDED for operation in found["operations"])

        eventually("every operation has ended", quiet, 120)
        return {one["id"]: one["status"] for one in self.server.api.get("/v1/lamp", params=WHERE).json()["resources"]}

    def address(self, id: str) -> str:
        """Where a lamp answers."""
        address: str = self.server.api.get(f"/v1/lamp/{id}").json()["access"]
        return address

    # ── What runs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def shines(self, address: str) -> dict[str, Any] | None:
        """What the lamp at an address says of itself; None while it does not answer."""
        with contextlib.suppress(httpx.TransportError):
            found: dict[str, Any] = httpx.get(address, timeout=5).json()
            return found
        return None

    def lit(self, address: str, not_pid: int = 0) -> int:
        """Process id of the lamp at an address, once it answers; another one than before, where that was killed."""

        def look() -> int:
            found = self.shines(address)
            return 0 if found is None or found["pid"] == not_pid else int(found["pid"])

        return int(eventually(f"{address} shines", look))

    @property
    def supervisord(self) -> int:
        """Process id of the one that lives; 0: none."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid = int((self.server.data_dir / "runtime" / "supervisord.pid").read_text())
            return pid if alive(pid) and b"supervisor" in _cmdline(pid) else 0
        return 0

    def lamps(self) -> dict[str, list[int]]:
        """Processes that work in a service's directory, by the service's id: what runs is found without asking anybody."""
        folder, found = self.server.data_dir.resolve() / "services", dict[str, list[int]]()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    directory = Path(str((entry / "cwd").readlink()).removesuffix(" (deleted)"))
                    if directory.is_relative_to(folder) and alive(int(entry.name)):
                        found.setdefault(directory.relative_to(folder).parts[0], []).append(int(entry.name))
        return found

    def ran_twice(self) -> list[str]:
        """Services that noticed another copy of themselves."""
        return [path.parent.name for path in self.server.data_dir.glob("services/*/twice")]

    # ── What happens to it ────────────────────────────────────────────────────────────────────────────────────────────

    def kill_supervisord(self) -> None:
        """End supervisord as the out-of-memory killer does."""
        _kill(self.supervisord)

    def kill_lamps(self) -> None:
        """End every service."""
        for pids in self.lamps().values():
            for pid in pids:
                _kill(pid)

    def kill_everything(self) -> None:
        """As a power cut does: nothing of it has time to see the others end."""
        if self.server.process is not None and self.server.process.poll() is None:
            self.server.kill()
        self.kill_supervisord()
        self.kill_lamps()


@contextlib.contextmanager
def house_on(data_dir: Path, *options: str) -> Iterator[House]:
    """A server with lamps that is started by the block, and nothing of it left afterwards."""
    environ = install_plugin(data_dir.with_name("plugins"), HERE / "enopax_lamps.py")
    house = House(Server(data_dir, ENOPAX_RUNTIME_USER="nobody", **environ))
    try:
        yield house
    finally:
        house.server.close()
        house.kill_everything()


def _cmdline(pid: int) -> bytes:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _kill(pid: int) -> None:
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        eventually(f"process {pid} is dead", lambda: not alive(pid))
