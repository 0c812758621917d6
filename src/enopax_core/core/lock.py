"""One core on a data directory. `flock`, not `lockf`: that lets a second core of the same process in."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from enopax_core.errors import DataDirectoryInUse

FILE = "lock"


class DirectoryLock:
    """Held from entering to leaving, or to the death of the process; children do not inherit it."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._descriptor = -1

    def __enter__(self) -> DirectoryLock:
        """Raises DataDirectoryInUse."""
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise DataDirectoryInUse(
                f"Another server runs on {self._path.parent}: stop it, or choose another --data-dir."
            ) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._descriptor)
