"""Numbered migrations: run at start, each in a transaction of its own with its number."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from enopax_core.errors import DatabaseTooNew, StartupError
from enopax_core.ledger.interface import Tables
from enopax_core.ledger.queries import load_migrations


def migrate(connection: sqlite3.Connection, tables: Tables) -> None:
    """Bring one section's tables up to date.

    Raises: DatabaseTooNew when a newer version has written them: going on could destroy what it does not know.
    """
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations"
        " (section TEXT NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (section, number))"
    )
    known = load_migrations(tables)
    applied = _applied(connection, tables)
    if applied > len(known):
        raise DatabaseTooNew(
            f"The database has migration {applied} of {tables.section}, this version knows {len(known)}: "
            "a newer version wrote it. Install that version, or restore a backup made before the upgrade."
        )
    for number, name, script in known[applied:]:
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{script}\n"
            f"INSERT INTO migrations (section, number, name) VALUES ('{tables.section}', {number}, '{name}');\nCOMMIT;"
        )


def pending(path: Path, tables: Sequence[Tables]) -> list[str]:
    """Names of the migrations that opening a database would run; nothing is written. Raises StartupError for what is none."""
    if not path.is_file():
        return []
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA query_only=ON")
            return [f"{section.section} {name}" for section in tables for name in _unapplied(connection, section)]
    except sqlite3.DatabaseError as error:
        raise StartupError(f"The ledger {path} cannot be read: {error}.") from error


def _unapplied(connection: sqlite3.Connection, tables: Tables) -> list[str]:
    return [name for _, name, _ in load_migrations(tables)[_applied(connection, tables) :]]


def _applied(connection: sqlite3.Connection, tables: Tables) -> int:
    """Number of the last migration of a section that has run."""
    found = connection.execute("SELECT coalesce(max(number), 0) FROM migrations WHERE section = ?", (tables.section,))
    number: int = found.fetchone()[0]
    return number
