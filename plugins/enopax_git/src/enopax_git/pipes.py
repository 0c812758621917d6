"""Pipes to and from a child process, read and written in the event loop by descriptor.

The loop's own pipe transports are not used: uvloop (seen with 0.23) closes the descriptor twice, once in libuv and once
through the file object. Whatever another thread opens in between has the same number and is closed under its owner's
hands; seen were the ledger's database ("disk I/O error") and files of repositories.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable
from typing import Any

SIZE = 1 << 20  # bytes in flight: larger pipes mean fewer turns of the event loop


class Pipe:
    """One pipe: `inner` is our end, `outer` the child's. Each is closed once, whatever happens."""

    def __init__(self, inner: int, outer: int) -> None:
        self._inner, self._outer = inner, outer
        os.set_blocking(inner, False)
        with contextlib.suppress(OSError):  # past the user's share of pipe memory, the usual size serves too
            fcntl.fcntl(inner, fcntl.F_SETPIPE_SZ, SIZE)

    @classmethod
    def from_child(cls) -> Pipe:
        """A pipe that the child writes."""
        return cls(*os.pipe())

    @classmethod
    def to_child(cls) -> Pipe:
        """A pipe that the child reads."""
        outer, inner = os.pipe()
        return cls(inner, outer)

    @property
    def outer(self) -> int:
        """The child's end, for `subprocess.Popen`."""
        return self._outer

    async def read(self, size: int) -> bytes:
        """What is there, at most `size` bytes; empty at the end."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return os.read(self._inner, size)
            except BlockingIOError:
                await _ready(self._inner, loop.add_reader, loop.remove_reader)

    async def write(self, data: bytes) -> None:
        """All of it. Raises BrokenPipeError when the child reads no more."""
        loop, rest = asyncio.get_running_loop(), memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._inner, rest) :]
            except BlockingIOError:
                await _ready(self._inner, loop.add_writer, loop.remove_writer)

    def close_outer(self) -> None:
        """Once the child has its end: until then nobody would see the other side close."""
        self._outer = _closed(self._outer)

    def close(self) -> None:
        """Close both ends. Nobody may be reading or writing; repeatable."""
        self._outer, self._inner = _closed(self._outer), _closed(self._inner)


async def _ready(descriptor: int, add: Callable[..., Any], remove: Callable[[int], Any]) -> None:
    event = asyncio.Event()
    add(descriptor, event.set)
    try:
        await event.wait()
    finally:
        remove(descriptor)


def _closed(descriptor: int) -> int:
    if descriptor >= 0:
        os.close(descriptor)
    return -1
