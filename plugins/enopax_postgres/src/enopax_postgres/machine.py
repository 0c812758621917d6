"""What the plugin asks of the core's runtime, from worker threads: programs that run, servers that stay, files they own."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import anyio.from_thread

from enopax_core import Host
from enopax_core.errors import EnopaxError, TemporaryError
from enopax_core.runtime import Completed, LogLine, Service, State
from enopax_postgres.installations import Installation
from enopax_postgres.names import Names, is_spare

ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC"}
PROGRAMS = "postgres-programs"
"""Id under which programs run that belong to no server."""
BEAT = 0.5  # seconds
Beat = Callable[[], None]
"""Called twice a second while something takes long; it may raise Cancelled."""


class Machine:
    """Every method blocks, and must be called from a thread that anyio has started (a provider's plain methods are)."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.names = Names(host.data_dir / "postgres/spares")  # as the runtime and the ledger's ports know them

    @property
    def user(self) -> str:
        """Name of the user that servers run as."""
        return self._host.runtime.user

    # ── Programs ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, installation: Installation, name: str, *arguments: str, beat: Beat | None = None) -> str:
        """Run one of PostgreSQL's programs to its end, as the user that servers run as; what it printed.

        No secret belongs into arguments: everybody on the machine can read them.

        Raises: TemporaryError with the program's last words; what `beat` raises, once the program has ended.
        """
        done = self.complete(installation, name, *arguments, beat=beat)
        if done.status:
            words = [line for line in done.errors.decode("utf-8", "replace").strip().splitlines() if line][-3:]
            raise TemporaryError(f"{name} failed: {' '.join(words)}")
        return done.output.decode("utf-8", "replace")

    def complete(self, installation: Installation, name: str, *arguments: str, beat: Beat | None = None) -> Completed:
        """The same for a program whose failure means something."""
        return anyio.from_thread.run(self._run, [installation.program(name), *arguments], beat)

    async def _run(self, command: Sequence[str], beat: Beat | None) -> Completed:
        service = Service(id=PROGRAMS, resource=None, command=command, environment=ENVIRONMENT)
        ended: list[Completed | EnopaxError] = []

        async def work() -> None:
            try:
                ended.append(await self._host.runtime.run(service, command))
            except EnopaxError as error:
                ended.append(error)
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(work)
            while beat is not None:
                await anyio.sleep(BEAT)
                try:
                    beat()
                except EnopaxError as error:
                    ended.append(error)
                    group.cancel_scope.cancel()
        if isinstance(ended[0], EnopaxError):
            raise ended[0]
        return ended[0]

    # ── Servers ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def ensure(self, service: Service) -> None:
        """Have a server run as described. Raises ServiceFailed."""
        anyio.from_thread.run(self._host.runtime.ensure, replace(service, id=self.names.of_service(service.id)))

    def signal(self, service: str, signal: str) -> None:
        """Send a signal to a server's main process. Raises NotFound when it does not run."""
        anyio.from_thread.run(self._host.runtime.signal, self.names.of_service(service), signal)

    def stop(self, service: str) -> None:
        """End a server and keep it ended; its files stay."""
        anyio.from_thread.run(self._host.runtime.stop, self.names.of_service(service))

    def remove(self, service: str) -> None:
        """Leave nothing of a server."""
        anyio.from_thread.run(self._host.runtime.remove, self.names.of_service(service))

    def runs(self, service: str) -> bool:
        """Whether a server runs, or is being started again."""
        found = anyio.from_thread.run(self._host.runtime.status, self.names.of_service(service))
        return found.state in (State.RUNNING, State.STARTING)

    def limits(self, service: str) -> Mapping[str, str]:
        """How what a server may use is limited on this machine (`Status.limits`)."""
        return anyio.from_thread.run(self._host.runtime.status, self.names.of_service(service)).limits

    def logs(self, service: str, lines: int) -> Sequence[LogLine]:
        """The latest lines of a server, oldest first."""
        return anyio.from_thread.run(self._host.runtime.logs, self.names.of_service(service), lines)

    def follow(self, service: str, lines: int) -> AsyncGenerator[LogLine, None]:
        """Its latest lines, then each as it is written. Unlike everything else here, in the event loop."""
        return self._host.runtime.follow(self.names.of_service(service), lines)

    def exists(self, service: str) -> bool:
        """Whether there is anything of a server."""
        found = anyio.from_thread.run(self._host.runtime.services)
        return any(known.id == self.names.of_service(service) for known in found)

    def services(self, suffix: str) -> list[str]:
        """Ids of the resources, and names of the spares, that have anything of a service whose id ends so."""
        found = anyio.from_thread.run(self._host.runtime.services)
        owners, part = self.names.owners(), suffix.replace(".", "-")
        spares = [name for known in found if is_spare(name := known.id.removesuffix(part))]
        plain = [known.id.removesuffix(suffix) for known in found if known.id.endswith(suffix)]
        return [*plain, *(owners.get(name, name) for name in spares)]

    def port(self, resource: str, name: str) -> int:
        """The port of a resource for a purpose; the same at every call."""
        return anyio.from_thread.run(self._host.ports.allocate, self.names.of(resource), name)

    def renew_ports(self, resource: str, addresses: Sequence[str]) -> None:
        """Keep the ports of a resource on which nothing listens at these addresses; give the others back."""
        for name, port in anyio.from_thread.run(self._host.ports.of, self.names.of(resource)).items():
            if not all(_is_free(address, port) for address in addresses):
                anyio.from_thread.run(self._host.ports.release, self.names.of(resource), name)

    def release(self, resource: str) -> None:
        """Give back the ports of a resource, and its name."""
        anyio.from_thread.run(self._host.ports.release, self.names.of(resource))
        self.names.forget(resource)

    def give_back(self, resource: str, name: str) -> None:
        """Give back the port of a resource for one purpose."""
        anyio.from_thread.run(self._host.ports.release, self.names.of(resource), name)

    # ── Files of servers ──────────────────────────────────────────────────────────────────────────────────────────────

    def home(self, service: str) -> Path:
        """The directory of a server, made when it is missing."""
        return anyio.from_thread.run(self._host.runtime.directory, self.names.of_service(service))

    def directory(self, folder: Path) -> Path:
        """Make a directory that servers' user alone may enter; its parents must exist."""
        folder.mkdir(exist_ok=True, mode=0o700)
        self.own(folder)
        return folder

    def write(self, file: Path, content: bytes) -> bool:
        """Write a file, for the servers' user alone, in one step; False: it already was so."""
        if file.exists() and file.read_bytes() == content:
            return False
        draft = file.with_name(f".{file.name}.new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        self.own(draft)
        draft.replace(file)
        return True

    def own(self, path: Path, *, below: bool = False) -> None:
        """Give a file or directory, with everything `below` it, to the servers' user."""
        if os.geteuid() != 0:
            return  # servers run as this user
        account = pwd.getpwnam(self._host.runtime.user)
        give = partial(os.chown, uid=account.pw_uid, gid=account.pw_gid, follow_symlinks=False)
        give(path)
        for parent, folders, files in os.walk(path) if below else ():
            for name in (*folders, *files):
                give(Path(parent, name))


def _is_free(address: str, port: int) -> bool:
    """Whether a server could listen there now; connections that have ended lately do not hinder it."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("" if address == "*" else address, port))
        except OSError:
            return False
    return True
