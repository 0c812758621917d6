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
from anyio.abc import ByteReceiveStream

from enopax_core.errors import NotFound
from enopax_core.runtime.definition import PATH
from enopax_core.runtime.interface import Completed

LAUNCH = Path(__file__).with_name("launch.py")


def find_program(name: str, environment: Mapping[str, str], directory: Path) -> Path:
    """Where a command's program lies. Raises NotFound."""
    found = shutil.which(name, path=environment.get("PATH", PATH)) if "/" not in name else shutil.which(directory / name)
    if found is None:
        raise NotFound(f"There is no program {name}.")
    return Path(found)


async def run_process(process: Mapping[str, Any], input: bytes, timeout: float | None) -> Completed:
    """Run a process that `launch` specifies to its end; it is killed with all of its group when this is left early.

    Raises: TimeoutError.
    """
    specification = os.memfd_create("specification")  # it may hold secrets, so no file and no argument
    try:
        os.write(specification, json.dumps({**process, "parent": os.getpid()}).encode())
        command = [sys.executable, "-I", "-S", str(LAUNCH), f"/proc/self/fd/{specification}"]
        running = await anyio.open_process(command, start_new_session=True, pass_fds=[specification])
    finally:
        os.close(specification)
    parts: dict[str, bytes] = {}

    async def read(name: str, stream: ByteReceiveStream | None) -> None:
        assert stream is not None  # noqa: S101  # a pipe was asked for
        parts[name] = b"".join([part async for part in stream])

    try:
        with anyio.fail_after(timeout):
            async with anyio.create_task_group() as group:
                group.start_soon(read, "output", running.stdout)
                group.start_soon(read, "errors", running.stderr)
                assert running.stdin is not None  # noqa: S101  # a pipe was asked for
                with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # it does not read all
                    await running.stdin.send(input)
                await running.stdin.aclose()
            status = await running.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        raise
    finally:
        with anyio.CancelScope(shield=True):
            await running.aclose()
    return Completed(status=status, output=parts["output"], errors=parts["errors"])


async def succeeds(process: Mapping[str, Any], command: Sequence[str], timeout: float) -> bool:
    """Whether a command of a probe ends with 0 in time."""
    try:
        return (await run_process({**process, "command": list(command)}, b"", timeout)).status == 0
    except TimeoutError:
        return False
