"""One run of an executable: no shell, a clean environment, a process group of its own that ends with it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE

import anyio
from anyio.abc import ByteReceiveStream, Process

from enopax_core.errors import EnopaxError, PermanentError, TimedOut

OUTPUT = 1 << 20  # bytes of JSON that a script may print
LOG = 1 << 16  # bytes of its standard error that are kept
GRACE = 5.0  # seconds between SIGTERM and SIGKILL
DRAIN = 5.0  # seconds after its end in which what it wrote must arrive; a process that left the group may keep the pipes open
WORDS = ("progress", "announce", "error")
"""A line of standard output that begins with one of these speaks to the core; the rest is the answer."""

Hear = Callable[[str, str], Awaitable[None]]


@dataclass(kw_only=True)
class Ran:
    """What became of a run."""

    executable: Path
    status: int = 0  # negative: the signal that killed it
    failure: EnopaxError | None = None  # why it was ended, or could not begin
    said: str = field(default="", repr=False)  # what it states as its error
    output: bytearray = field(default_factory=bytearray, repr=False)
    log: bytearray = field(default_factory=bytearray, repr=False)


async def run(executable: Path, given: bytes, *, environment: Mapping[str, str], seconds: float, hear: Hear) -> Ran:
    """Run an executable to its end, in its folder. `hear` gets each report, as word and rest.

    However this ends, cancelled too, the process and its group have ended before. What ends a run early is its `failure`:
    a time limit, too much output, what `hear` raises.
    """
    ran = Ran(executable=executable)
    try:
        with anyio.CancelScope(shield=True):  # cancelled in here, asyncio would kill the process alone, and not its group
            process = await anyio.open_process(
                [str(executable)],
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                cwd=executable.parent,
                env=environment,
                start_new_session=True,
            )
    except OSError as error:
        ran.failure = PermanentError(f"{executable.name} cannot be run: {error.strerror}.")
        return ran
    ended = False
    try:
        with anyio.move_on_after(seconds) as limit:
            async with anyio.create_task_group() as group:

                async def attend() -> None:
                    try:
                        await _listen(process.stdout, ran, hear)
                    except EnopaxError as error:
                        ran.failure = error
                        group.cancel_scope.cancel()

                group.start_soon(attend)
                group.start_soon(_collect, process.stderr, ran)
                group.start_soon(_feed, process, given)
                ran.status = await process.wait()
                _signal(process, signal.SIGKILL)  # what it has left running in its group
                ended = True
                group.cancel_scope.deadline = anyio.current_time() + DRAIN
    finally:
        with anyio.CancelScope(shield=True):
            if not ended:
                await _end(process)
            await process.aclose()
    if limit.cancelled_caught:
        ran.failure = TimedOut(f"{executable.name} took longer than {seconds:g} s.")
    return ran


async def _feed(process: Process, given: bytes) -> None:
    assert process.stdin is not None  # noqa: S101  # a pipe was asked for
    with contextlib.suppress(anyio.BrokenResourceError):  # it need not read its input
        await process.stdin.send(given)
    await process.stdin.aclose()


async def _listen(stream: ByteReceiveStream | None, ran: Ran, hear: Hear) -> None:
    assert stream is not None  # noqa: S101  # a pipe was asked for
    rest = b""
    async for chunk in stream:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            await _take(line + b"\n", ran, hear)
        if len(ran.output) + len(rest) > OUTPUT:
            raise PermanentError(f"{ran.executable.name} printed more than {OUTPUT} bytes.")
    await _take(rest, ran, hear)


async def _take(line: bytes, ran: Ran, hear: Hear) -> None:
    word, _, rest = line.decode(errors="replace").strip().partition(" ")
    if word == "error":
        ran.said = rest.strip()
    elif word in WORDS:
        await hear(word, rest.strip())
    else:
        ran.output += line


async def _collect(stream: ByteReceiveStream | None, ran: Ran) -> None:
    assert stream is not None  # noqa: S101  # a pipe was asked for
    async for chunk in stream:
        ran.log += chunk[: max(0, LOG - len(ran.log))]


async def _end(process: Process) -> None:
    """End the whole group: asked first, then made to."""
    _signal(process, signal.SIGTERM)
    with anyio.move_on_after(GRACE):
        await process.wait()
    _signal(process, signal.SIGKILL)


def _signal(process: Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
