"""A consistent copy of a SQLite database that may be written meanwhile."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from enopax_core.errors import StartupError
from enopax_core.records.audit import Anchor


def copy_database(source: Path, target: Path) -> None:
    """Copy with SQLite's online backup API, in one step: a snapshot that holds up no writer (WAL). Blocks.

    Nothing is migrated: the copy is of the version that wrote it. Raises StartupError for what is no database.
    """
    if not source.is_file():
        raise StartupError(f"There is no ledger at {source}.")
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with contextlib.closing(sqlite3.connect(source)) as original, contextlib.closing(sqlite3.connect(target)) as copy:
            original.execute("PRAGMA query_only=ON")
            original.backup(copy)
    except sqlite3.DatabaseError as error:
        raise StartupError(f"The ledger {source} cannot be copied: {error}.") from error


def anchor_of(copy: Path) -> str:
    """The end of the audit log in a copy; "" where a version wrote it that chained none. Blocks."""
    with contextlib.closing(sqlite3.connect(copy)) as database:
        try:
            position, hash = database.execute("SELECT position, hash FROM audit_head").fetchone()
        except sqlite3.OperationalError:
            return ""
    return str(Anchor(position=position, hash=hash))
