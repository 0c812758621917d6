"""A command that runs to its end as a service would."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import ByteReceiveStream, Process

from enopax_core.errors import NotFound
from enopax_core.runtime.definition import PATH
from enopax_core.runtime.interface import Completed, Sink

LAUNCH = Path(__file__).with_name("launch.py")


def find_program(name: str, environment: Mapping[str, str], directory: Path) -> Path:
    """Where a command's program lies. Raises NotFound."""
    found = shutil.which(name, path=environment.get("PATH", PATH)) if "/" not in name else shutil.which(directory / name)
    if found is None:
        raise NotFound(f"There is no program {name}.")
    return Path(found)


async def run_process(process: Mapping[str, Any], input: bytes, timeout: float | None, output: Sink | None = None) -> Completed:
    """Run a process that `launch` specifies to its end; it is killed with all of its group when this is left early.

    Raises: TimeoutError; what `output` raises.
    """
    specification = os.memfd_create("specification")  # it may hold secrets, so no file and no argument
    try:
        os.write(specification, json.dumps({**process, "parent": os.getpid()}).encode())
        command = [sys.executable, "-I", "-S", str(LAUNCH), f"/proc/self/fd/{specification}"]
        running = await begin(command, pass_fds=[specification])
    finally:
        os.close(specification)
    with anyio.fail_after(timeout):
        return await converse(running, input, output)


async def begin(command: Sequence[str], **how: Any) -> Process:
    """Start a process that leads a group of its own, with `anyio.open_process`.

    A cancellation waits until it has begun: asyncio would kill the process alone, and nobody would know of its group.
    """
    with anyio.CancelScope(shield=True):
        running = await anyio.open_process(command, start_new_session=True, **how)
    return running


async def converse(running: Process, input: bytes, output: Sink | None = None) -> Completed:
    """Give a process that leads its group the input, and take what it writes until it ends; killed with all of its group when
    this is left early. Raises what `output` raises.
    """
    written: list[bytes] = []
    errors: list[bytes] = []
    refused: list[Exception] = []

    async def keep(part: bytes) -> None:
        written.append(part)

    async def read_errors(stream: ByteReceiveStream) -> None:
        errors.extend([part async for part in stream])

    async def read(stream: ByteReceiveStream, take: Sink) -> None:
        try:
            async for part in stream:
                await take(part)
        except Exception as error:  # handed on as it is, not in a group
            refused.append(error)
            group.cancel_scope.cancel()

    assert running.stdin is not None  # noqa: S101  # pipes were asked for
    assert running.stdout is not None  # noqa: S101
    assert running.stderr is not None  # noqa: S101
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(read, running.stdout, output or keep)
            group.start_soon(read_errors, running.stderr)
            with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # it does not read all
                await running.stdin.send(input)
            await running.stdin.aclose()
        if refused:
            raise refused[0]
        status = await running.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        raise
    finally:
        with anyio.CancelScope(shield=True):
            await running.aclose()
    return Completed(status=status, output=b"".join(written), errors=b"".join(errors))


async def succeeds(process: Mapping[str, Any], command: Sequence[str], timeout: float) -> bool:
    """Whether a command of a probe ends with 0 in time."""
    try:
        return (await run_process({**process, "command": list(command)}, b"", timeout)).status == 0
    except TimeoutError:
        return False
