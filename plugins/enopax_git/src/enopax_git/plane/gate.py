"""What the data plane (SSH and HTTP) asks of whoever decides who may reach which repository.

Nothing here knows about keys in a database, organisations or plans: the plugin's glue answers these questions, and tests answer
them with a small fake. The data plane holds no decision longer than the request it was made for.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

__all__ = ["Access", "Busy", "Forbidden", "Gate", "NotFound", "Refused", "Service", "Transfer"]


class Service(str, Enum):
    """The two services of Git's transfer protocol; the value is the command a client sends."""

    FETCH = "git-upload-pack"
    PUSH = "git-receive-pack"

    @property
    def subcommand(self) -> str:
        """The name under which `git` itself runs it: `upload-pack` or `receive-pack`."""
        return self.value.removeprefix("git-")


@dataclass(frozen=True, kw_only=True)
class Access:
    """The answer to a request that is allowed."""

    repository: Path  # absolute directory of the bare repository
    resource: str  # the resource's opaque id
    max_bytes: int | None = None  # hard limit of the repository's size by its plan; None: no limit
    writable: bool = False  # a push is refused without it, whatever else the gate says


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """One finished exchange of one service, for metrics and usage."""

    resource: str
    service: Service
    bytes_in: int  # from the client
    bytes_out: int  # to the client
    seconds: float
    ok: bool


class Refused(Exception):
    """The request is refused; the message is shown to the person at the terminal, so it names no path and no secret."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or "This request was refused.")

    @property
    def message(self) -> str:
        """The sentence for the person."""
        return str(self.args[0])


class NotFound(Refused):
    """There is no such repository, or the caller may not know that there is."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or "Repository not found. Check the address, and that your key or token may read it.")


class Forbidden(Refused):
    """The caller may see the repository, but not do this."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or "You may read this repository, but not push to it.")


class Busy(Refused):
    """Too much at once, or the server is stopping: the same request may work a moment later."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or "The server is busy. Please try again in a moment.")


class Gate(Protocol):
    """Decides. Called from one event loop, for several requests at once; an exception other than `Refused` is logged and refused."""

    async def identify(self, fingerprint: str, address: str) -> str | None:
        """Give the opaque handle of the caller who owns the SSH key of this fingerprint, None for an unknown key.

        `fingerprint` is `SHA256:…` as `ssh-keygen -l` prints it. Nothing proves yet that the client holds the key: the handle is used
        only after its signature was checked.
        """
        ...

    async def open(self, caller: str, path: str, service: Service) -> Access:
        """Let the caller use a service of the repository at `path`, `organisation/project/name.git` as the client sent it.

        Raises: NotFound, Forbidden, Busy or any other Refused.
        """
        ...

    def finished(self, transfer: Transfer) -> None:
        """Take note of an exchange that ended, well or not. Must not block."""
        ...
