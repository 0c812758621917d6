"""Runs under way, on disk: what a killed server left running is found by it and ended by the next start."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import anyio

PATIENCE = 5.0  # seconds for processes to die; one that waits for a disk takes as long as that does
VARIABLE = "ENOPAX_RUN"
"""Stands in the environment of each script and of all that it starts."""


class Runs:
    """Records of runs that have not ended. A process that a finished run left on purpose has none, and is left alone."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextlib.contextmanager
    def recorded(self) -> Iterator[str]:
        """Record a run before it begins; the value of its variable."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        token = secrets.token_hex(16)
        record = self._directory / token
        record.touch(mode=0o600)
        try:
            yield token
        finally:
            record.unlink(missing_ok=True)

    async def end_leftovers(self) -> int:
        """Kill every process of runs that a killed server left; how many runs those were."""
        records = sorted(self._directory.iterdir()) if self._directory.is_dir() else []
        tokens = {record.name for record in records}
        with anyio.move_on_after(PATIENCE):
            while tokens and (left := list(_processes(tokens))):  # again: they may have started others meanwhile
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                await anyio.sleep(0.01)
        for record in records:
            record.unlink(missing_ok=True)
        return len(records)


def _processes(tokens: set[str]) -> Iterator[int]:
    wanted = {f"{VARIABLE}={token}".encode() for token in tokens}
    for file in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it has ended meanwhile, or is another user's
            if not wanted.isdisjoint(file.read_bytes().split(b"\0")):
                yield int(file.parent.name)
