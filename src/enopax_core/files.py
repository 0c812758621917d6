"""Files that their owner alone can read, written in one step and durable."""

from __future__ import annotations

import os
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Replace a file; whoever reads it finds the old content or the new one, after a crash too. Mode 0600. Raises OSError."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)  # of a process that was killed while it wrote
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    _make_durable(path.parent)


def remove_private(path: Path) -> None:
    """Remove a file for good, after a crash too; repeatable. Raises OSError."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    _make_durable(path.parent)


def _make_durable(folder: Path) -> None:
    """Which files a folder has outlives a power cut."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
