"""Numbered migrations: run at start, each in a transaction of its own with its number."""

from __future__ import annotations

import sqlite3

from enopax_core.errors import DatabaseTooNew
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
    applied = connection.execute(
        "SELECT coalesce(max(number), 0) FROM migrations WHERE section = ?", (tables.section,)
    ).fetchone()[0]
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
