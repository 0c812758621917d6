"""Where runtimes keep things below the data directory."""

from __future__ import annotations

import os
from pathlib import Path


def services_folder(data_dir: Path) -> Path:
    """Services' own directories, by id."""
    return data_dir / "services"


def remove_file(path: Path) -> None:
    """Remove a file for good, after a power cut too; repeatable."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
