"""`Runtime` on supervisord."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal as signals
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from anyio.abc import TaskGroup

from enopax_core.clock import Clock
from enopax_core.errors import NotFound, RuntimeUnavailable
from enopax_core.files import remove_private, write_private
from enopax_core.records.log import LogLine
from enopax_core.runtime import access, loglines
from enopax_core.runtime.changes import Turns, come_up, has_settled
from enopax_core.runtime.command import find_program, run_process, succeeds
from enopax_core.runtime.definition import fingerprint, process_of, specification_of
from enopax_core.runtime.homes import Homes
from enopax_core.runtime.interface import Completed, Known, ServiceMetrics, Sink, State, Status
from enopax_core.runtime.launch import is_held, main_process, read_record
from enopax_core.runtime.limits import Enforced, cgroup_base, enforce
from enopax_core.runtime.opening import Engine
from enopax_core.runtime.probe import is_ready
from enopax_core.runtime.service import File, Service
from enopax_core.runtime.settings import RuntimeSettings
from enopax_core.runtime.supervisor import rpc
from enopax_core.runtime.supervisor.config import program_config
from enopax_core.runtime.supervisor.daemon import Daemon
from enopax_core.runtime.usage import listens, measure

PROBE_SECONDS = 10.0  # for a command of a probe
STATES: Mapping[str, State] = {"RUNNING": State.RUNNING, "STARTING": State.STARTING, "BACKOFF": State.STARTING}


class SupervisorRuntime:
    """Services as processes under supervisord, which is started with the first of them."""

    name = "supervisor"

    def __init__(self, data_dir: Path, settings: RuntimeSettings, clock: Clock, group: TaskGroup) -> None:
        self._homes, self._turns, self._clock = Homes(data_dir, settings.user), Turns(), clock
        self._daemon = Daemon(data_dir / "runtime", group)
        self._cgroup_name = f"enopax-{hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:12]}"

    def revive(self) -> None:
        """See Engine."""
        self._daemon.watch()

    async def close(self) -> None:
        """See Engine. Where no service is left, supervisord need not stay."""
        if not self._daemon.programs():
            await self._daemon.shut_down()

    @cached_property
    def _cgroup(self) -> Path | None:
        return cgroup_base(self._cgroup_name)

    @property
    def user(self) -> str:
        """See Runtime."""
        return self._homes.user.name

    # ── Directories and files ─────────────────────────────────────────────────────────────────────────────────────────

    async def directory(self, id: str) -> Path:
        """See Runtime."""
        return await self._homes.make(id)

    async def write(self, id: str, files: Mapping[str, File]) -> None:
        """See Runtime."""
        await self._homes.write(id, files)

    # ── Running ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def ensure(self, service: Service) -> Status:
        """See Runtime."""
        async with self._turns.alone(service.id):
            stored = self._daemon.stored(service.id)
            if stored.get("fingerprint") == fingerprint(service) and await self._is_kept_running(service.id):
                if stored["resource"] != service.resource:
                    self._store(service.id, {**stored, "resource": service.resource})
            else:
                directory = await self.directory(service.id)
                find_program(service.command[0], service.environment, directory)
                await self._halt(service.id)
                await self._homes.in_thread(partial(self._define, service, directory))
                await self._daemon.call("reloadConfig")
                await self._unless(rpc.ALREADY_ADDED, "addProcessGroup", service.id)
                await self._unless(rpc.ALREADY_STARTED, "startProcess", service.id, False)
            return await come_up(service, partial(self.status, service.id))

    async def stop(self, id: str) -> None:
        """See Runtime."""
        async with self._turns.alone(id):
            await self._halt(id)

    async def remove(self, id: str) -> None:
        """See Runtime."""
        async with self._turns.alone(id):
            await self._halt(id)
            await self._homes.remove(id)
            await self._homes.in_thread(partial(self._erase, id))

    async def signal(self, id: str, signal: str) -> None:
        """See Runtime."""
        pid = main_process(self._daemon.lock(id))
        if pid is None:
            raise NotFound(f"The service {id} does not run.")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signals.Signals[f"SIG{signal}"])

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
        """See Runtime."""
        directory = await self.directory(service.id)
        program = find_program(command[0], service.environment, directory)
        if not self._daemon.stored(service.id):  # else its files are there, and those it runs with must stay
            await self.write(service.id, service.files)
        process = process_of(service, directory, self._homes.user, Enforced())
        process |= {"command": list(command), "environment": {**process["environment"], **(environment or {})}}
        await self._homes.in_thread(partial(access.let_pass, program, self._homes.user))
        return await run_process(process, input, timeout, output)

    # ── Looking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def status(self, id: str) -> Status:
        """See Runtime."""
        stored = self._daemon.stored(id)
        if not stored:
            return Status(id=id, state=State.MISSING)
        if not self._daemon.program(id).exists():
            return Status(id=id, state=State.STOPPED, limits=stored["limits"])
        try:
            found = await self._daemon.call("getProcessInfo", id)
        except rpc.Fault as fault:
            raise RuntimeUnavailable(f"supervisord does not know the service {id} ({fault}).") from fault
        record = read_record(self._daemon.lock(id))
        state = STATES.get(found["statename"], State.STOPPED)
        pid = self._current(id, stored)
        ready = pid is not None and state is not State.STOPPED and await self._is_ready(id, stored, pid)
        if ready and pid is not None and stored["probe"] is None:
            ready = has_settled(pid, record.get("since", 0.0))
        if ready:
            state = State.RUNNING  # supervisord calls it so after a second
        return Status(
            id=id,
            state=state,
            ready=ready,
            pid=pid,
            started_at=datetime.fromtimestamp(found["start"], UTC) if pid is not None else None,
            restarts=max(0, record.get("starts", 1) - 1) if record.get("generation") == stored["generation"] else 0,
            exit_status=found["exitstatus"] if found["stop"] else None,
            limits=stored["limits"],
            message=found["spawnerr"] or found["description"],
        )

    async def services(self) -> Sequence[Known]:
        """See Runtime."""
        return await self._homes.in_thread(self._known)

    async def logs(self, id: str, lines: int = 200) -> Sequence[LogLine]:
        """See Runtime."""
        self._check_known(id)
        return await self._homes.in_thread(partial(loglines.tail, self._daemon.log(id), lines))

    async def follow(self, id: str, lines: int = 0) -> AsyncGenerator[LogLine, None]:
        """See Runtime."""
        self._check_known(id)
        async with contextlib.aclosing(loglines.follow(self._daemon.log(id), lines, self._clock)) as following:
            async for line in following:
                yield line

    async def metrics(self, id: str) -> ServiceMetrics:
        """See Runtime."""
        self._check_known(id)
        record = read_record(self._daemon.lock(id))
        pid = main_process(self._daemon.lock(id))
        return await self._homes.in_thread(partial(measure, pid, max(0, record.get("starts", 1) - 1)))

    # ── Parts ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _define(self, service: Service, directory: Path) -> None:
        """Write all that a service needs; the program last, which makes it one that is to run."""
        access.write_files(directory, service.files, self._homes.user)
        access.let_pass(find_program(service.command[0], service.environment, directory), self._homes.user)
        for volume in service.volumes:
            access.let_pass(volume.source, self._homes.user)
        enforced = enforce(service.limits, self._cgroup, service.id)
        lock = Path(f"locks/{service.id}.lock")  # from supervisord's working directory
        specification = specification_of(service, directory, self._homes.user, enforced, lock)
        self._daemon.make_folders()
        self._store(service.id, specification)
        write_private(self._daemon.program(service.id), program_config(service).encode())

    def _store(self, id: str, specification: Mapping[str, Any]) -> None:
        write_private(self._daemon.specification(id), json.dumps(specification).encode())

    async def _halt(self, id: str) -> None:
        """Stop it and have it forgotten, so that nothing starts it again. Repeatable, whoever was killed before."""
        remove_private(self._daemon.program(id))
        if self._daemon.runs:
            await self._daemon.start()
            await self._daemon.forget(id)
        await self._homes.in_thread(partial(self._daemon.end, id))

    def _erase(self, id: str) -> None:
        """The specification last: as long as it is there, the service is known."""
        log, lock = self._daemon.log(id), self._daemon.lock(id)
        for path in (log, *loglines.rotated(log), lock.with_suffix(".json"), lock):
            path.unlink(missing_ok=True)
        if self._cgroup is not None:
            with contextlib.suppress(FileNotFoundError):
                (self._cgroup / id).rmdir()
        remove_private(self._daemon.specification(id))

    async def _is_kept_running(self, id: str) -> bool:
        if not self._daemon.program(id).exists():
            return False
        try:
            return (await self._daemon.call("getProcessInfo", id))["statename"] in STATES
        except rpc.Fault:
            return False

    def _current(self, id: str, stored: Mapping[str, Any]) -> int | None:
        """Its main process, if that was started as now described."""
        lock = self._daemon.lock(id)
        return main_process(lock) if read_record(lock).get("generation") == stored["generation"] else None

    async def _is_ready(self, id: str, stored: Mapping[str, Any], pid: int) -> bool:
        process = {**stored, "lock": None, "cgroup": None}
        return await is_ready(
            stored,
            self._homes.path(id),
            run=lambda command: succeeds(process, command, PROBE_SECONDS),
            listens=lambda port: self._homes.in_thread(partial(listens, pid, port)),
        )

    def _known(self) -> Sequence[Known]:
        defined = {path.stem for path in self._daemon.folder.glob("specifications/*.json")}
        directories = self._homes.ids()
        live = {path.stem for path in self._daemon.folder.glob("locks/*.lock") if is_held(path) or main_process(path)}
        return [
            Known(
                id=id,
                resource=self._daemon.stored(id).get("resource"),
                defined=id in defined,
                directory=id in directories,
                process=id in live,
            )
            for id in sorted(defined | directories | live)
        ]

    def _check_known(self, id: str) -> None:
        if not self._daemon.specification(id).exists():
            raise NotFound(f"There is no service {id}.")

    async def _unless(self, code: int, method: str, *arguments: Any) -> None:
        """Call, and take one fault for success: somebody was faster."""
        try:
            await self._daemon.call(method, *arguments)
        except rpc.Fault as fault:
            if fault.code != code:
                raise RuntimeUnavailable(f"supervisord refuses {method} ({fault}).") from fault


_: Callable[[Path, RuntimeSettings, Clock, TaskGroup], Engine] = SupervisorRuntime
