"""What a provider says of a service that is to be kept alive."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

ID = re.compile(r"[a-z0-9]([a-z0-9.-]{0,98}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class File:
    """A file in the service's directory; it belongs to the user that the service runs as."""

    content: bytes = field(repr=False)
    mode: int = 0o600


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port that the service listens on. The command must be told of it too."""

    number: int  # on the machine: from `host.ports.allocate`
    host: str = "127.0.0.1"  # address of the machine at which it is reached
    inside: int | None = None  # what an image listens on, where it cannot be told; None: the same number


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A directory, beside the service's own, that it works on. It must exist; who owns it is the provider's business."""

    source: Path
    target: Path | None = None  # in a container; None: the same path, so that one command fits every runtime
    read_only: bool = False  # in a container


@dataclass(frozen=True, kw_only=True)
class Probe:
    """How to see that a service is ready: exactly one of `port` (takes connections), `path` (exists), `command` (ends with 0)."""

    port: str | None = None  # a name in `Service.ports`
    path: str | None = None  # below the service's directory, such as a Unix socket
    command: Sequence[str] | None = None  # run as `Runtime.run` does
    timeout: float = 60.0  # seconds until a service that is not ready has failed to start

    def __post_init__(self) -> None:
        if sum(kind is not None for kind in (self.port, self.path, self.command)) != 1:
            raise ValueError("A probe looks at exactly one of port, path and command.")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a service may use; None: not limited. `Status.limits` says how each limit is kept on this machine."""

    cpu: float | None = None  # processors
    memory: int | None = None  # bytes
    open_files: int | None = None


@dataclass(frozen=True, kw_only=True)
class Stop:
    """How a service is asked to end; after `seconds` it is killed with everything it has started."""

    signal: Literal["TERM", "INT", "QUIT", "HUP", "USR1", "USR2"] = "TERM"  # PostgreSQL: INT is its fast shutdown
    seconds: float = 10.0


@dataclass(frozen=True, kw_only=True)
class Log:
    """How much of what a service writes to its standard output and error is kept: `files` of `size` bytes each."""

    size: int = 10 << 20
    files: int = 3


@dataclass(frozen=True, kw_only=True)
class Service:
    """A long-lived process or container.

    Each has a directory of its own (`Runtime.directory`), where it starts, at the same path in every runtime. It inherits
    no environment but PATH, HOME (its directory) and LANG. It must stay in the foreground: its own daemonising is off.

    Changing anything but `resource` restarts it at the next `ensure`.
    """

    id: str  # the resource's id, a dot, what it is for: `acme-web-db-x7k2.primary`; a plugin's own: no dot; 100 of [a-z0-9.-]
    resource: str | None  # id of the resource it serves; None: the plugin's own, such as a spare. May change without a restart
    command: Sequence[str]  # program with arguments, no shell, no secrets; in a container the image's own command if empty
    image: str | None = None  # for runtimes of containers; others ignore it
    files: Mapping[str, File] = field(default_factory=dict)  # by path below the service's directory
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold secrets
    ports: Mapping[str, Port] = field(default_factory=dict)  # by name
    volumes: Sequence[Volume] = ()
    readiness: Probe | None = None  # None: ready once it runs
    limits: Limits = Limits()
    restart: Literal["always", "on-failure", "never"] = "always"
    stop: Stop = Stop()
    log: Log = Log()

    def __post_init__(self) -> None:
        if not ID.fullmatch(self.id) or ".." in self.id:
            raise ValueError(f"The id {self.id!r} of a service must be made of [a-z0-9.-], at most 100 characters.")
        if not self.command and self.image is None:
            raise ValueError(f"The service {self.id} has neither a command nor an image.")
        for path in self.files:
            check_inside(path)
        if self.readiness is not None and self.readiness.port is not None and self.readiness.port not in self.ports:
            raise ValueError(f"The service {self.id} has no port named {self.readiness.port} to look at.")


def check_inside(path: str) -> None:
    """Refuse a path that would leave the service's directory. Raises ValueError."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path:
        raise ValueError(f"The path {path!r} must lie below the service's directory.")
