"""Pipes in the event loop of the server, beside threads that open files."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from pathlib import Path

import pytest
import uvloop

from enopax_git.pipes import SIZE, Pipe

ROUNDS = 300


async def through_cat(data: bytes) -> bytes:
    """What comes out of a child that repeats what it reads."""
    source, sink = Pipe.from_child(), Pipe.to_child()
    child = subprocess.Popen(["cat"], stdin=sink.outer, stdout=source.outer)  # noqa: ASYNC220  # as the plugin starts Git
    source.close_outer()
    sink.close_outer()

    async def feed() -> None:
        await sink.write(data)
        sink.close()

    feeding = asyncio.create_task(feed())
    found = b""
    while chunk := await source.read(1 << 16):
        found += chunk
    await feeding
    source.close()
    child.wait()  # its output has ended
    return found


def test_more_than_a_pipe_holds_goes_through_both_ways() -> None:
    data = bytes(range(256)) * (SIZE // 64)
    assert uvloop.run(through_cat(data)) == data
    assert asyncio.run(through_cat(data)) == data


def test_nobody_else_s_file_is_closed() -> None:
    over, lost = threading.Event(), []

    def open_and_close() -> None:
        while not over.is_set():
            try:
                with Path("/dev/null").open("rb"):
                    pass
            except OSError as error:  # EBADF: somebody has closed it already
                lost.append(error)

    async def rounds() -> None:
        for _ in range(ROUNDS):
            source, sink = Pipe.from_child(), Pipe.to_child()
            reading = asyncio.create_task(source.read(1))
            await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait({reading})
            source.close()
            sink.close()
            source.close()

    threads = [threading.Thread(target=open_and_close) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        uvloop.run(rounds())
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert lost == []


def test_writing_to_a_child_that_has_ended_says_so() -> None:
    async def write() -> None:
        sink = Pipe.to_child()
        try:
            subprocess.run(["true"], stdin=sink.outer, check=True)  # noqa: ASYNC221  # 1 ms
            sink.close_outer()
            await sink.write(b"x")
        finally:
            sink.close()

    with pytest.raises(BrokenPipeError):
        uvloop.run(write())
