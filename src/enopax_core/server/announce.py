"""`server.json`: where a running server is found. Removed on a clean stop; a stale one is replaced by the next start."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from enopax_core.files import write_private

FILE = "server.json"


def announce(data_dir: Path, content: Mapping[str, Any]) -> Path:
    """Write the file in one step, readable by its owner alone. Raises OSError."""
    path = data_dir / FILE
    write_private(path, json.dumps(dict(content), indent=2).encode() + b"\n")
    return path


def withdraw(data_dir: Path) -> None:
    """Remove the file, if it is there. Only who holds the lock of the data directory may: the file is its server's."""
    with contextlib.suppress(OSError):  # a directory that was taken away has no file either
        (data_dir / FILE).unlink(missing_ok=True)
