"""The disk of a plan. A full database takes no writes, but lets people clean up; one that grows nevertheless lets nobody in.

A session may switch `default_transaction_read_only` off again, which is what cleaning up takes; that alone would be no
limit. So past a second bound the database takes no connection but the administration's, until the plan is a larger one.
"""

from __future__ import annotations

import enum
import os
from pathlib import Path

from psycopg import Connection
from psycopg.sql import SQL, Identifier

from enopax_postgres.layout import Layout
from enopax_postgres.roles import LOGINS

LOW, CRITICAL = 0.80, 0.95
"""Shares of the disk from which on people are told, and from which on a database is degraded."""
CLOSED = 1.10
LEFT = "pg_wal"
"""What does not count: how long the write-ahead log is depends on the archive, and has a bound of its own."""


class Level(enum.IntEnum):
    """What a database of some size may do."""

    OPEN = 0
    READ_ONLY = 1
    CLOSED = 2


def used(layout: Layout) -> int:
    """Bytes of a data directory, as the file system keeps them."""
    return sum(_allocated(entry) for entry in os.scandir(layout.data) if entry.name != LEFT)


def level(share: float, now: Level) -> Level:
    """What a share of the disk allows; open again only below the bound at which it was critical, so that it does not flutter."""
    if share >= CLOSED:
        return Level.CLOSED
    if share >= 1:
        return Level.READ_ONLY
    return min(now, Level.READ_ONLY) if share >= CRITICAL else Level.OPEN


def current(connection: Connection, database: str) -> Level:
    """The level that a server enforces."""
    row = connection.execute(
        "SELECT datconnlimit = 0, EXISTS (SELECT 1 FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole"
        " WHERE r.rolname = ANY(%s) AND 'default_transaction_read_only=on' = ANY(s.setconfig))"
        " FROM pg_database WHERE datname = %s",
        (list(LOGINS), database),
    ).fetchone()
    if row is None:
        return Level.OPEN
    return Level.CLOSED if row[0] else Level.READ_ONLY if row[1] else Level.OPEN


def enforce(connection: Connection, database: str, wanted: Level) -> None:
    """Change to a level. Connections that are open end: what a role starts with holds from its next login on."""
    value = SQL("SET default_transaction_read_only = on") if wanted else SQL("RESET default_transaction_read_only")
    for login in LOGINS:
        connection.execute(SQL("ALTER ROLE {} {}").format(Identifier(login), value))
    limit = SQL("0") if wanted is Level.CLOSED else SQL("-1")
    connection.execute(SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(Identifier(database), limit))
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = %s AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
        (database,),
    )


def _allocated(entry: os.DirEntry[str]) -> int:
    try:
        if not entry.is_dir(follow_symlinks=False):
            return entry.stat(follow_symlinks=False).st_blocks * 512
        with os.scandir(Path(entry.path)) as entries:
            return sum(_allocated(inner) for inner in entries)
    except FileNotFoundError:  # the server removes files while we look
        return 0
