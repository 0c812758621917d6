"""`server.json`: where a running server is found. Removed on a clean stop; a stale one is replaced by the next start."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = "server.json"


def announce(data_dir: Path, content: Mapping[str, Any]) -> Path:
    """Write the file in one step, readable by its owner alone. Raises OSError."""
    path = data_dir / FILE
    temporary = path.with_name(FILE + ".new")
    temporary.unlink(missing_ok=True)  # of a server that was killed while it wrote
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(dict(content), file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return path


def withdraw(data_dir: Path) -> None:
    """Remove the file, if it is there. Only who holds the lock of the data directory may: the file is its server's."""
    with contextlib.suppress(OSError):  # a directory that was taken away has no file either
        (data_dir / FILE).unlink(missing_ok=True)
