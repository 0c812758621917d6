"""One running `git` child: started without blocking for long, read and written without a thread, ended with all it started."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
from typing import IO

from enopax_git.plane.commands import Command

__all__ = ["CHUNK", "GitProcess"]

CHUNK = 256 * 1024  # bytes of one read; with the pipe below, one turn of the event loop for 8 packets of SSH

_PIPE = 1024 * 1024  # Linux' default limit for unprivileged users
_NICENESS = 5  # a clone may take what the API leaves
_GRACE = 3.0  # seconds between asking to end, which lets git remove its quarantine, and ending


class GitProcess:
    """Starts the command at once. `close` must be called in the end; it ends the child if it still runs."""

    def __init__(self, command: Command) -> None:
        """Raises: OSError when git cannot be started."""
        self._child = subprocess.Popen(
            command.arguments,
            env=dict(command.environment),
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # its own process group, to be ended as one
        )
        # Set from here, after the start: `preexec_fn` would turn vfork into fork, and `nice` costs one more exec.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._child.pid, _NICENESS)
        self.stdin = self._prepare(self._child.stdin, large=True)
        self.stdout = self._prepare(self._child.stdout, large=True)
        self.stderr = self._prepare(self._child.stderr, large=False)
        self._ended: asyncio.Future[int] | None = None

    @staticmethod
    def _prepare(pipe: IO[bytes] | None, *, large: bool) -> int:
        assert pipe is not None  # noqa: S101  # all three were asked for
        descriptor = pipe.fileno()
        os.set_blocking(descriptor, False)
        if large and hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):  # over the user's limit: the default size works, too
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE)
        return descriptor

    @property
    def pid(self) -> int:
        """Process id, and id of its process group."""
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """Exit status once the child has ended and `wait` was told; negative: the signal that ended it."""
        return self._child.returncode

    async def wait(self) -> int:
        """Wait for the end and give the exit status; may be called several times at once."""
        if self._ended is None:
            self._ended = asyncio.ensure_future(self._wait())
        return await asyncio.shield(self._ended)

    async def _wait(self) -> int:
        loop = asyncio.get_running_loop()
        if not hasattr(os, "pidfd_open"):
            return await loop.run_in_executor(None, self._child.wait)
        descriptor = os.pidfd_open(self._child.pid)
        ended = asyncio.Event()
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        return self._child.wait()

    async def read(self) -> bytes:
        """The next bytes of the answer, at most CHUNK; empty at its end."""
        while True:
            try:
                return os.read(self.stdout, CHUNK)
            except BlockingIOError:
                await _readable(self.stdout)

    async def write(self, data: bytes) -> None:
        """Pass bytes of the request on. Raises: BrokenPipeError when git reads no more."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self.stdin, view) :]
            except BlockingIOError:
                await _writable(self.stdin)

    def close_stdin(self) -> None:
        """Say that the request is complete."""
        if self._child.stdin is not None:
            self._child.stdin.close()

    def complaint(self, most: int = 4096) -> bytes:
        """What the child has written to its standard error so far, for the log."""
        with contextlib.suppress(OSError, ValueError):
            return os.read(self.stderr, most)
        return b""

    async def close(self) -> None:
        """End the child and everything it started, if it still runs, and free the pipes. Shield this from cancellation."""
        self.signal(signal.SIGTERM)
        self._close_pipes()
        try:
            await asyncio.wait_for(self.wait(), _GRACE)
        except asyncio.TimeoutError:
            self.signal(signal.SIGKILL)
            await self.wait()

    def signal(self, number: int) -> None:
        """Signal the whole group, if its leader still runs (the id of an ended one may belong to another by now)."""
        if self._child.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, number)

    def _close_pipes(self) -> None:
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(descriptor, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


async def _writable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_writer(descriptor, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_writer(descriptor)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
