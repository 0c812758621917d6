"""Runs one executable: JSON in, JSON out, progress on the way; nothing of it is left when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import logging
import os
import signal
import struct
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio

from enopax_core.errors import PermanentError, TemporaryError

log = logging.getLogger(__name__)
TEMPORARY = 75  # EX_TEMPFAIL of sysexits.h: try again later
LARGEST = 4 << 20  # bytes of output: a script that writes for ever must not fill the memory
LINE = 64 << 10
LINGER = 5.0  # seconds that what escaped the group may keep a pipe open
AGAIN = timedelta(seconds=1)
Report = Callable[[str, str, int | None], None]
"""Hears of progress: stage, message, per cent."""


class Script:
    """Executables of one provider, and where they work."""

    def __init__(self, state: Path) -> None:
        """`state`: a directory of the provider's own, where its scripts run and may keep things."""
        self._state = state

    async def run(
        self,
        executable: Path,
        resource_id: str,
        given: Mapping[str, Any],
        *,
        report: Report | None = None,
        secrets: frozenset[str],
    ) -> Any:
        """What it wrote, as JSON; None where it wrote nothing. Cancelled, it is killed with everything it started.

        Raises: TemporaryError (exit status 75, killed by a signal, an earlier attempt still runs), PermanentError.
        """
        self._state.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._alone(resource_id) as lock:
            process = await asyncio.create_subprocess_exec(
                str(executable),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=self._state,
                env=self._environment(resource_id),
                start_new_session=True,
                pass_fds=(lock,),
                limit=LINE,
            )
            said: list[str] = []
            try:
                reading = asyncio.gather(_output(process), _errors(process, report, said, secrets))
                await _feed(process, json.dumps(given).encode() + b"\n")
                output, _ = await reading
                status = await process.wait()
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                # Until its pipes were read to their end, asyncio does not tell that it has ended.
                with anyio.move_on_after(LINGER, shield=True):
                    for pipe in (process.stdout, process.stderr):
                        while pipe is not None and await pipe.read(1 << 16):
                            pass
                    await process.wait()
        return _result(executable.name, status, output, said)

    @contextlib.contextmanager
    def _alone(self, resource_id: str) -> Iterator[int]:
        """A lock that the script and its children inherit: it is held until the last of them has ended.

        So a script that outlived a killed server and its next attempt never work at the same time.
        """
        lock = os.open(self._state / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # One byte of one file for each resource, which leaves nothing behind. A lock of the open file (fcntl_locking(2)), not
            # of the process: the script's children hold it too.
            byte = int.from_bytes(hashlib.sha256(resource_id.encode()).digest()[:7])
            fcntl.fcntl(lock, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0))
            yield lock
        except BlockingIOError:
            raise TemporaryError(
                "A script of an earlier attempt still works on this.", retry_after=timedelta(seconds=1)
            ) from None
        finally:
            os.close(lock)

    def _environment(self, resource_id: str) -> dict[str, str]:
        path = os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin")
        return {"PATH": path, "LANG": "C.UTF-8", "HOME": str(self._state), "ENOPAX_RESOURCE_ID": resource_id}


async def _feed(process: asyncio.subprocess.Process, text: bytes) -> None:
    assert process.stdin is not None  # noqa: S101  # opened as a pipe
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it does not care to read
        process.stdin.write(text)
        await process.stdin.drain()
    process.stdin.close()


async def _output(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None  # noqa: S101  # opened as a pipe
    output = b""
    while chunk := await process.stdout.read(1 << 16):
        output += chunk
        if len(output) > LARGEST:
            raise PermanentError(f"The script wrote more than {LARGEST} bytes.")
    return output


async def _errors(process: asyncio.subprocess.Process, report: Report | None, said: list[str], secrets: frozenset[str]) -> None:
    """Standard error, line by line: `progress STAGE [N%] MESSAGE`, `error MESSAGE`, and what goes into the log."""
    assert process.stderr is not None  # noqa: S101  # opened as a pipe
    while True:
        try:
            line = await process.stderr.readline()
        except ValueError:  # longer than the limit
            continue
        if not line:
            return
        text = line.decode("utf-8", "replace").strip()
        for secret in secrets:
            text = text.replace(secret, "***")
        word, _, rest = text.partition(" ")
        if word == "progress" and report is not None:
            report(*parse_progress(rest))
        elif word == "error":
            said.append(rest)
        elif text:
            log.info("script: %s", text)


def parse_progress(text: str) -> tuple[str, str, int | None]:
    """`verify 80% Looking at it`: stage, message, per cent; without a figure the stage's own counts."""
    stage, _, rest = text.partition(" ")
    figure, _, message = rest.partition(" ")
    if figure.endswith("%") and figure[:-1].isdigit():
        return stage, message, int(figure[:-1])
    return stage, rest, None


def _result(name: str, status: int, output: bytes, said: list[str]) -> Any:
    message = said[-1] if said else ""
    if status == TEMPORARY or status < 0:
        raise TemporaryError(message or f"{name} cannot do this now.")
    if status:
        raise PermanentError(message or f"{name} ended with status {status}.")
    if not output.strip():
        return None
    try:
        return json.loads(output)
    except ValueError as error:
        raise PermanentError(f"{name} wrote something that is no JSON.") from error
