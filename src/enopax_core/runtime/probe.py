"""Whether a service is ready."""

from __future__ import annotations

import socket
import stat
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio

CONNECT_SECONDS = 2.0


async def is_ready(
    specification: Mapping[str, Any],
    directory: Path,
    run: Callable[[Sequence[str]], Awaitable[bool]],
    listens: Callable[[int], Awaitable[bool]],
) -> bool:
    """Look once, as the specification's probe says. No probe: ready.

    `run` runs a command in the service's environment; `listens` tells whether it is the service that listens at a port, and
    not a stranger who was there before it.
    """
    probe = specification["probe"]
    if probe is None:
        return True
    if probe["port"] is not None:
        host, port = specification["ports"][probe["port"]]
        return await _accepts(host, port) and await listens(port)
    if probe["path"] is not None:
        return _exists(directory / probe["path"])
    return await run(probe["command"])


async def _accepts(host: str, port: int) -> bool:
    try:
        with anyio.fail_after(CONNECT_SECONDS):
            stream = await anyio.connect_tcp(_reachable(host), port)
    except (OSError, TimeoutError):
        return False
    await stream.aclose()
    return True


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared with, not listened on


def _exists(path: Path) -> bool:
    """A socket counts once something listens: the file outlives whoever made it."""
    try:
        is_socket = stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False
    if not is_socket:
        return True
    with socket.socket(socket.AF_UNIX) as looking:
        looking.setblocking(False)
        try:
            looking.connect(str(path))
        except BlockingIOError:  # its queue is full: something listens
            return True
        except OSError:
            return False
    return True
