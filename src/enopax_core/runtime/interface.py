"""What a runtime offers to providers."""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from enopax_core.records.log import LogLine
from enopax_core.runtime.service import File, Service

Sink = Callable[[bytes], Awaitable[None]]
"""Takes what a command writes, piece by piece; the command waits while it is at it."""


class State(enum.StrEnum):
    """What a service does now."""

    RUNNING = "running"
    STARTING = "starting"  # started again and again too, while it ends too early
    STOPPED = "stopped"  # by `stop`; or it ended, and its restart policy leaves it so
    MISSING = "missing"  # never ensured, or removed


@dataclass(frozen=True, kw_only=True)
class Status:
    """One service as it is now."""

    id: str
    state: State
    ready: bool = False  # it runs and its probe succeeds
    pid: int | None = None  # of its main process, where there is one on this machine
    started_at: datetime | None = None  # of the present process
    restarts: int = 0  # since it was last ensured: how often it ended and was started again
    exit_status: int | None = None  # of the process before; negative: a signal ended it
    limits: Mapping[str, str] = field(default_factory=dict)  # `cpu`, `memory`, `open_files` → cgroup, rlimit, nice or none
    message: str = ""  # for people


@dataclass(frozen=True, kw_only=True)
class Known:
    """Something that a runtime has of a service: its definition, its directory, a live process, or several of them."""

    id: str
    resource: str | None  # as last ensured; None also where only a directory or a process is left
    defined: bool
    directory: bool
    process: bool


@dataclass(frozen=True, kw_only=True)
class ServiceMetrics:
    """What a service uses, with everything it has started."""

    cpu_seconds: float  # since the present process began
    memory_bytes: int  # shared memory counted once
    restarts: int
    uptime_seconds: float  # of the present process; 0: it does not run


@dataclass(frozen=True, kw_only=True)
class Completed:
    """How a command ended."""

    status: int  # negative: the signal that ended it
    output: bytes = field(repr=False)
    errors: bytes = field(repr=False)


class Runtime(Protocol):
    """Keeps services alive. Whatever it runs goes on when the API server ends, and comes back after a crash or a reboot.

    Every method may be called again after a crash. All raise RuntimeUnavailable, which is retryable, when the engine behind
    it cannot be reached; ids that never existed are no error but in `logs`, `follow`, `metrics` and `signal` (NotFound).
    """

    @property
    def name(self) -> str:
        """`supervisor`, `podman` or `docker`."""

    @property
    def user(self) -> str:
        """Name of the operating system's user that services run as and that owns their directories."""

    async def directory(self, id: str) -> Path:
        """The service's own directory, made when it is missing: its user's, mode 0700, every parent passable for it.

        It keeps what must outlive the process, and is there before the service is.
        """

    async def write(self, id: str, files: Mapping[str, File]) -> None:
        """Put files into the service's directory, each atomically; nothing is restarted. Raises ValueError for a path outside."""

    async def ensure(self, service: Service) -> Status:
        """Have it run as described, and return once it is ready.

        Starts what does not run, restarts what was described differently before, leaves everything else alone.

        Raises: ServiceFailed when it is not ready within the probe's time, or ends again and again; NotFound when there is no
        such program.
        """

    async def stop(self, id: str) -> None:
        """End it and keep it ended, after a reboot too, until it is ensured again. Definition, directory and log stay."""

    async def remove(self, id: str) -> None:
        """End it and leave nothing: no process, definition, directory or log."""

    async def signal(self, id: str, signal: str) -> None:
        """Send a signal such as `HUP` to its main process alone. Raises NotFound when it does not run."""

    async def status(self, id: str) -> Status:
        """Look at it, its probe included. A service that is not there is `missing`."""

    async def services(self) -> Sequence[Known]:
        """Everything it has of any service, by id."""

    async def logs(self, id: str, lines: int = 200) -> Sequence[LogLine]:
        """Its latest lines, oldest first: what it wrote to standard output and error. Raises NotFound."""

    def follow(self, id: str, lines: int = 0) -> AsyncGenerator[LogLine, None]:
        """Its latest `lines`, then every one as it is written, until closed (`aclosing`) or removed. Raises NotFound."""

    async def metrics(self, id: str) -> ServiceMetrics:
        """Measure it now. Raises NotFound."""

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
        """Run a command to its end as the service would run: same user, directory, files, environment, image and volumes.

        The service itself need not run, nor ever have been ensured. The command ends with the caller, and with the API
        server if that is killed, so that it never runs twice. `environment` comes on top and may hold secrets; `timeout`
        is in seconds. `output` takes what it writes to standard output as it comes, instead of the end holding it.

        Raises: TimeoutError; NotFound when there is no such program; what `output` raises, once the command is ended.
        """
