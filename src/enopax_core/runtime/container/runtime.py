"""`Runtime` on a container engine."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import secrets
import signal as signals
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskGroup

from enopax_core.clock import Clock
from enopax_core.errors import NotFound, PermanentError, RuntimeUnavailable, ServiceFailed
from enopax_core.files import remove_private, write_private
from enopax_core.records.log import LogLine
from enopax_core.runtime.changes import Turns, began, come_up, has_settled, has_settled_under
from enopax_core.runtime.container.arguments import Setting, how_limited, of_command, of_service
from enopax_core.runtime.container.engine import ENGINE_FAILED, NOT_EXECUTABLE, NOT_FOUND, ContainerEngine, Refused
from enopax_core.runtime.container.logs import ContainerLogs
from enopax_core.runtime.definition import fingerprint
from enopax_core.runtime.homes import Homes
from enopax_core.runtime.interface import Completed, Known, ServiceMetrics, Sink, State, Status
from enopax_core.runtime.loglines import parse_line
from enopax_core.runtime.opening import Engine
from enopax_core.runtime.probe import is_ready
from enopax_core.runtime.service import File, Service
from enopax_core.runtime.settings import RuntimeSettings
from enopax_core.runtime.usage import listens, measure

log = logging.getLogger(__name__)
INITS_COMPLAIN = ("failed to exec pid1", "[FATAL tini")  # Podman's init and Docker's, of a program they cannot execute
LOOK_SECONDS = 10.0  # between two looks whether what is to run does: the engine itself restarts what ends
STOP_RESERVE = 10.0  # seconds that a stop may take beyond what the service was given
PROBE_SECONDS = 10.0


class ContainerRuntime:
    """Services as containers."""

    def __init__(self, data_dir: Path, settings: RuntimeSettings, clock: Clock, group: TaskGroup) -> None:
        self.name = settings.engine
        self._homes, self._turns, self._clock, self._group = Homes(data_dir, settings.user), Turns(), clock, group
        self._engine = ContainerEngine(settings.engine)
        self._folder = data_dir / "runtime" / settings.engine
        self._logs = ContainerLogs(self._engine, self._folder / "logs", clock, self._homes)
        self._installation = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:12]
        self._limits: frozenset[str] | None = None  # which of them the engine can keep here; asked when one is wanted
        self._watched = self._cleared = False
        self._preparing = anyio.Lock()

    def revive(self) -> None:
        """See Engine."""
        if not self._watched:
            self._watched = True
            self._group.start_soon(self._keep_running)

    async def close(self) -> None:
        """See Engine. Nothing is left to end: each container has its own monitor."""

    @property
    def user(self) -> str:
        """See Runtime."""
        return self._homes.user.name

    async def directory(self, id: str) -> Path:
        """See Runtime."""
        return await self._homes.make(id)

    async def write(self, id: str, files: Mapping[str, File]) -> None:
        """See Runtime."""
        await self._homes.write(id, files)

    # ── Running ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def ensure(self, service: Service) -> Status:
        """See Runtime."""
        if service.image is None:
            raise PermanentError(f"The service {service.id} has no image, which {self.name} needs.")
        async with self._turns.alone(service.id):
            stored, wanted = self._stored(service.id), fingerprint(service)
            container = await self._container(service.id)
            if container is not None and stored.get("fingerprint") == wanted and _runs(container):
                self._store(service.id, {**stored, "resource": service.resource, "wanted": True})
            else:
                await self._create(service, wanted, anew=container is not None)
            self.revive()
            try:
                return await come_up(service, partial(self.status, service.id))
            except ServiceFailed:
                await self._check_program(service)
                raise

    async def stop(self, id: str) -> None:
        """See Runtime."""
        async with self._turns.alone(id):
            await self._halt(id)

    async def remove(self, id: str) -> None:
        """See Runtime."""
        async with self._turns.alone(id):
            await self._halt(id)
            await self._engine.discard(self._name(id))
            await self._homes.remove(id)
            self._logs.remove(id)
            remove_private(self._specification(id))

    async def signal(self, id: str, signal: str) -> None:
        """See Runtime."""
        container = await self._container(id)
        if container is None or not _runs(container):
            raise NotFound(f"The service {id} does not run.")
        with contextlib.suppress(Refused):  # it has just ended
            await self._engine.call("kill", "--signal", signals.Signals[f"SIG{signal}"].name, self._name(id))

    async def run(
        self,
        service: Service,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        input: bytes = b"",
        output: Sink | None = None,
        timeout: float | None = None,
    ) -> Completed:
        """See Runtime. Killed with the server, the command is ended before the next one begins."""
        setting = await self._prepared(service)
        directory = await self.directory(service.id)
        if not self._stored(service.id):
            await self.write(service.id, service.files)
        name = f"{self._name(service.id)}-run-{secrets.token_hex(4)}"
        arguments = of_command(service, command, name, self._installation, directory, environment or {}, setting)
        try:
            with anyio.fail_after(timeout):
                ended = await self._engine.completed(
                    "run", *arguments.words, environment=arguments.environment, input=input, output=output
                )
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._engine.discard(name)
            raise
        if ended.status == NOT_FOUND and b"OCI runtime" in ended.errors:
            raise NotFound(f"There is no program {command[0]} in {service.image}.")
        if ended.status == ENGINE_FAILED or (ended.status == NOT_EXECUTABLE and b"OCI" in ended.errors):
            log.error("%s does not run a command of %s: %s", self.name, service.id, ended.errors.decode(errors="replace").strip())
            raise ServiceFailed(f"{self.name} does not run commands of the service {service.id}.")
        return ended

    # ── Looking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def status(self, id: str) -> Status:
        """See Runtime."""
        stored = self._stored(id)
        if not stored:
            return Status(id=id, state=State.MISSING)
        container = await self._container(id)
        if container is None:
            return Status(id=id, state=State.STOPPED, limits=stored["limits"])
        state, now = _state(container, stored), container["State"]
        pid = now["Pid"] if state is State.RUNNING else None
        ready = pid is not None and await self._is_ready(id, stored, pid)
        return Status(
            id=id,
            state=state,
            ready=ready,
            pid=pid,
            started_at=_moment(now["StartedAt"]) if pid is not None else None,
            restarts=container.get("RestartCount", 0),
            exit_status=now["ExitCode"] if pid is None else None,
            limits=stored["limits"],
            message=now["Status"],
        )

    async def services(self) -> Sequence[Known]:
        """See Runtime."""
        if not self._folder.exists() and not self._homes.ids():
            return []
        names = await self._engine.names(f"enopax.service={self._installation}")
        live = {name.removeprefix(self._name("")): one for name, one in (await self._engine.inspect(names)).items()}
        defined = {path.stem for path in self._folder.glob("*.json")}
        directories = self._homes.ids()
        return [
            Known(
                id=id,
                resource=self._stored(id).get("resource"),
                defined=id in defined,
                directory=id in directories,
                process=id in live and _runs(live[id]),
            )
            for id in sorted(defined | directories | live.keys())
        ]

    async def logs(self, id: str, lines: int = 200) -> Sequence[LogLine]:
        """See Runtime."""
        self._check_known(id)
        return await self._logs.latest(id, self._name(id), lines)

    async def follow(self, id: str, lines: int = 0) -> AsyncGenerator[LogLine, None]:
        """See Runtime."""
        self._check_known(id)
        still = self._specification(id).exists
        async with contextlib.aclosing(self._logs.follow(self._name(id), lines, still)) as following:
            async for line in following:
                yield line

    async def metrics(self, id: str) -> ServiceMetrics:
        """See Runtime."""
        self._check_known(id)
        container = await self._container(id)
        runs = container is not None and _runs(container)
        pid = container["State"]["Pid"] if container is not None and runs else None
        restarts = 0 if container is None else container.get("RestartCount", 0)
        return await self._homes.in_thread(partial(measure, pid, restarts))

    # ── Parts ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _prepared(self, service: Service) -> Setting:
        """What this machine's engine can do. Commands of a server that was killed are ended first."""
        async with self._preparing:
            if not self._cleared:
                for name in await self._engine.names(f"enopax.command={self._installation}"):
                    await self._engine.discard(name)
                self._cleared = True
            if self._limits is None and (service.limits.cpu, service.limits.memory) != (None, None):
                self._limits = await self._engine.limits()
        return Setting(
            engine=self.name,
            ulimits=self._engine.ulimits,
            init=self._engine.has_init,
            user=self._homes.user,
            limits=self._limits or (),
        )

    async def _create(self, service: Service, wanted: str, *, anew: bool) -> None:
        setting = await self._prepared(service)
        directory = await self._homes.write(service.id, service.files)
        self._logs.make_folder()
        if anew:
            await self._halt(service.id)
            await self._logs.keep(service, self._name(service.id))
            await self._engine.discard(self._name(service.id))
        specification = {
            "fingerprint": wanted,
            "resource": service.resource,
            "wanted": True,
            "restart": service.restart,
            "stop": service.stop.seconds,
            "limits": dict(how_limited(service, setting)),
            "init": setting.init,
            "probe": asdict(service.readiness) if service.readiness else None,
            "ports": {name: [port.host, port.number] for name, port in service.ports.items()},
            "published": any(port.inside not in (None, port.number) for port in service.ports.values()),
        }
        self._store(service.id, specification)
        name, file = self._name(service.id), self._logs.file(service.id)
        arguments = of_service(service, name, self._installation, directory, file, setting)
        ended = await self._engine.completed("run", *arguments.words, environment=arguments.environment)
        if ended.status == NOT_FOUND:
            raise NotFound(f"There is no program {' '.join(service.command[:1])} in {service.image}.")
        if ended.status != 0:
            log.error("%s does not start %s: %s", self.name, service.id, ended.errors.decode(errors="replace").strip())
            raise ServiceFailed(f"{self.name} does not start the service {service.id}.")

    async def _check_program(self, service: Service) -> None:
        """What does not come up may lack its program, which the container's init alone has noticed. Raises NotFound."""
        said = " ".join([line.message for line in await self.logs(service.id, 3)])
        if any(complaint in said for complaint in INITS_COMPLAIN):
            raise NotFound(f"There is no program {' '.join(service.command[:1])} in {service.image}.")

    async def _halt(self, id: str) -> None:
        stored = self._stored(id)
        if stored:
            self._store(id, {**stored, "wanted": False})
        container = await self._container(id)
        if container is None or not _runs(container):
            return
        try:
            await self._engine.call("stop", self._name(id), seconds=stored.get("stop", 10.0) + STOP_RESERVE)
        except Refused as error:
            container = await self._container(id)
            if container is not None and _runs(container):  # else it has just ended by itself
                raise self._engine.unavailable(f"does not stop {id}", error) from error

    async def _keep_running(self) -> None:
        while True:
            try:
                for path in sorted(self._folder.glob("*.json")):
                    await self._start_again(path.stem)
            except (RuntimeUnavailable, OSError) as error:
                log.error("Services are not looked after: %s", error)
            await anyio.sleep(LOOK_SECONDS)

    async def _start_again(self, id: str) -> None:
        """After a reboot, and where the monitor of a container was killed."""
        async with self._turns.alone(id):
            stored = self._stored(id)
            if stored.get("wanted"):
                container = await self._container(id)
                if container is not None and not _runs(container) and _state(container, stored) is not State.STOPPED:
                    log.warning("The service %s does not run; it is started.", id)
                    with contextlib.suppress(Refused):
                        await self._engine.call("start", self._name(id))

    async def _container(self, id: str) -> Mapping[str, Any] | None:
        if not self._folder.exists():
            return None
        return (await self._engine.inspect([self._name(id)])).get(self._name(id))

    async def _is_ready(self, id: str, stored: Mapping[str, Any], pid: int) -> bool:
        if stored["probe"] is None:
            return has_settled_under(pid) if stored["init"] else has_settled(pid, began(pid))

        async def run(command: Sequence[str]) -> bool:
            try:
                ended = await self._engine.completed("exec", self._name(id), *command, seconds=PROBE_SECONDS)
            except RuntimeUnavailable:
                return False
            return ended.status == 0

        async def listening(port: int) -> bool:
            """Of a published port the engine has made sure."""
            return bool(stored["published"]) or await self._homes.in_thread(partial(listens, pid, port))

        return await is_ready(stored, self._homes.path(id), run, listening)

    def _name(self, id: str) -> str:
        return f"enopax-{self._installation}-{id}"

    def _specification(self, id: str) -> Path:
        return self._folder / f"{id}.json"

    def _stored(self, id: str) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = json.loads(self._specification(id).read_bytes())
        except FileNotFoundError:
            return {}
        return found

    def _store(self, id: str, specification: Mapping[str, Any]) -> None:
        write_private(self._specification(id), json.dumps(specification).encode())

    def _check_known(self, id: str) -> None:
        if not self._stored(id):
            raise NotFound(f"There is no service {id}.")


def _runs(container: Mapping[str, Any]) -> bool:
    return container["State"]["Status"] in ("running", "stopping", "paused")


def _state(container: Mapping[str, Any], stored: Mapping[str, Any]) -> State:
    if _runs(container):
        return State.RUNNING
    ended_well = container["State"]["Status"] in ("exited", "stopped") and container["State"]["ExitCode"] == 0
    stays = not stored["wanted"] or stored["restart"] == "never" or (stored["restart"] == "on-failure" and ended_well)
    return State.STOPPED if stays else State.STARTING


def _moment(text: str) -> datetime | None:
    """What engines write: RFC 3339 with nanoseconds, or the same with spaces."""
    return parse_line(text.encode())[0]


_: Callable[[Path, RuntimeSettings, Clock, TaskGroup], Engine] = ContainerRuntime
