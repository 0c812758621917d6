"""Whether the ports that are ours are ours: the server's own, and those that the ledger has given to services."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import anyio
import psutil

from enopax_core.core.doctor.installation import Installation, found
from enopax_core.ledger import ports
from enopax_core.records.finding import Finding
from enopax_core.records.port import PortRecord
from enopax_core.runtime.settings import RuntimeSettings

FORWARDERS = frozenset({"conmon", "docker-proxy", "pasta", "rootlessport", "slirp4netns"})
"""Processes that listen for containers."""


async def check(installation: Installation) -> Sequence[Finding]:
    """See `refused` and `strangers`."""
    worse: list[Finding] = []
    settings = installation.settings
    if not installation.running:
        worse += await anyio.to_thread.run_sync(lambda: list(refused(settings.host, settings.port)))
    if installation.ledger is not None:
        given = await installation.ledger.read(ports.in_use)
        contained = settings.section("runtime", RuntimeSettings).engine != "supervisor"
        worse += await anyio.to_thread.run_sync(lambda: list(strangers(given, installation.data_dir, contained=contained)))
    return found("ports", worse=worse, well="Nobody else listens where this installation does.")


def refused(host: str, port: int) -> Iterator[Finding]:
    """Whether the server could not listen where the settings say. Blocks."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            probe.bind((host, port))
    except OSError as error:
        message = f"The server cannot listen on {host} port {port}: {error.strerror or error}."
        yield Finding(check="ports", severity="error", message=message, remedy=f"{_look(port)}, or enopax serve --port")


def strangers(given: Sequence[PortRecord], data_dir: Path, *, contained: bool) -> Iterator[Finding]:
    """Ports given to a service on which something listens that does not run in the data directory. Blocks.

    `contained`: services may run in containers. Where those work cannot be seen, so nobody in one is called a stranger.
    """
    listening = _listeners() if given else {}
    for record in given:
        if record.number in listening and not _is_ours(listening[record.number], data_dir.resolve(), contained):
            message = f"Somebody else listens on port {record.number}, which is {record.owner}'s ({record.name})."
            remedy = f"{_look(record.number)}, and end it: the service starts by itself"
            yield Finding(check="ports", severity="error", message=message, remedy=remedy)


def _look(port: int) -> str:
    return f"see who it is: ss -ltnp 'sport = :{port}'"


def _listeners() -> Mapping[int, int | None]:
    """Who listens, by TCP port; None: a process of another user's."""
    with contextlib.suppress(psutil.AccessDenied):  # where only root may look, as on macOS
        connections = psutil.net_connections("tcp")
        return {one.laddr.port: one.pid for one in connections if one.laddr and one.status == psutil.CONN_LISTEN}
    return {}


def _is_ours(pid: int | None, data_dir: Path, contained: bool) -> bool:
    """Services work in the data directory, and run as us unless we are root, who sees everybody."""
    if pid is None:
        return contained
    try:
        process = psutil.Process(pid)
        if Path(process.cwd()).is_relative_to(data_dir):
            return True
        return contained and (process.name() in FORWARDERS or _mounts(pid) != _mounts(os.getpid()))
    except (psutil.NoSuchProcess, FileNotFoundError):
        return True  # gone meanwhile
    except (psutil.AccessDenied, PermissionError):
        return contained


def _mounts(pid: int) -> Path:
    """The mount namespace of a process, which a container has of its own (namespaces(7))."""
    return Path(f"/proc/{pid}/ns/mnt").readlink()
