"""What the tests of a runtime share: how it is opened, and services to run."""

from __future__ import annotations

import contextlib
import secrets
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest

from enopax_core.runtime import Runtime, Service
from enopax_core.testing.asynchronous import Asynchronous

T = TypeVar("T")
ID, RESOURCE = "kit-resource-x7.main", "kit-resource-x7"
IDLE = "trap 'exit 0' TERM INT; while :; do sleep 0.1 & wait $!; done"
"""A script that does nothing until it is asked to end."""
PATIENCE = 60  # seconds until something that must happen counts as missing; nothing else is decided by it


class RuntimeKit(Asynchronous):
    """Base of the kit's parts."""

    image: str | None = None
    """For runtimes of containers: an image with `sh` and the usual tools."""

    def open(self, data_dir: Path) -> AbstractAsyncContextManager[Runtime]:
        """The runtime of a server on this data directory, from its start to its end. Opened again, it finds its services."""
        raise NotImplementedError("Say how your runtime is opened.")

    def listen(self, port: int) -> str:
        """A shell command that takes TCP connections at a port of 127.0.0.1 until it is ended."""
        return f"exec python3 -m http.server --bind 127.0.0.1 {port}"

    @pytest.fixture
    def data_dir(self) -> Iterator[Path]:
        """A data directory that nobody but the server's user may enter.

        Not in `tmp_path`: each session of pytest takes from the folder above all of them what was granted there.
        """
        with tempfile.TemporaryDirectory(prefix="enopax-kit-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)

    @pytest.fixture
    async def runtime(self, data_dir: Path) -> AsyncIterator[Runtime]:
        """A runtime without services, and nothing left of them afterwards."""
        async with self.open(data_dir) as runtime:
            try:
                yield runtime
            finally:
                await clear(runtime)

    def service(self, script: str = IDLE, *, id: str = ID, resource: str | None = RESOURCE, **more: Any) -> Service:
        """A service that runs a shell script."""
        return Service(id=id, resource=resource, command=["sh", "-c", script], image=self.image, **more)


async def clear(runtime: Runtime) -> None:
    """Remove everything that it has."""
    for known in await runtime.services():
        await runtime.remove(known.id)


async def eventually(what: str, look: Callable[[], Awaitable[T]]) -> T:
    """Look until the answer is true; fail with `what` if it never is."""
    with anyio.move_on_after(PATIENCE):
        while True:
            found = await look()
            if found:
                return found
            await anyio.sleep(0.02)
    pytest.fail(f"never: {what}", pytrace=False)


async def content(path: Path) -> str:
    """What a service has written into a file, once it is there and ends with a line's end."""

    async def look() -> str:
        text = written(path)
        return text if text.endswith("\n") else ""

    return await eventually(f"{path.name} is written", look)


def written(path: Path) -> str:
    """What a file holds now; nothing where there is none."""
    return path.read_text() if path.exists() else ""


def free_port() -> int:
    """A port that nothing uses, below those that Linux gives to whoever names none (`net.ipv4.ip_local_port_range`)."""
    while True:
        number = 20_000 + secrets.randbelow(12_768)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", number)):
            return number
