"""What a database is like, under the names that postgres_exporter made known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import LiteralString

from psycopg import Connection

from enopax_core.provider import Metric

DATABASE: LiteralString = """
SELECT numbackends, xact_commit, xact_rollback, blks_hit, blks_read, deadlocks, temp_bytes,
       tup_returned, tup_fetched, tup_inserted, tup_updated, tup_deleted, pg_database_size(datid)
  FROM pg_stat_database WHERE datname = %s
"""
SERVER: LiteralString = """
SELECT (SELECT count(*) FROM pg_locks WHERE database = (SELECT oid FROM pg_database WHERE datname = %(database)s)),
       (SELECT count(*) FROM pg_stat_activity WHERE datname = %(database)s AND backend_type = 'client backend'),
       (SELECT coalesce(max(extract(epoch FROM now() - xact_start)), 0)::float8
          FROM pg_stat_activity WHERE datname = %(database)s AND backend_type = 'client backend'),
       (SELECT setting::int FROM pg_settings WHERE name = 'max_connections'),
       extract(epoch FROM pg_postmaster_start_time())::float8
"""
ARCHIVER: LiteralString = """
SELECT archived_count, failed_count, extract(epoch FROM now() - last_archived_time)::float8 FROM pg_stat_archiver
"""


def measure(connection: Connection, database: str) -> Mapping[str, Metric]:
    """Measure over a connection of the administration."""
    found: dict[str, Metric] = {"pg_up": _m(1, "boolean", "Whether the server answers.")}
    row = connection.execute(DATABASE, (database,)).fetchone()
    if row is not None:
        for name, unit, help, value in zip(NAMES, UNITS, HELPS, row, strict=True):
            found[name] = _m(value, unit, help)
    row = connection.execute(SERVER, {"database": database}).fetchone()
    if row is not None:
        found["pg_locks_count"] = _m(row[0], "locks", "Locks held or awaited.")
        found["pg_stat_activity_count"] = _m(row[1], "connections", "Connections of clients.")
        found["pg_stat_activity_max_tx_duration"] = _m(row[2], "seconds", "Age of the oldest open transaction.")
        found["pg_settings_max_connections"] = _m(row[3], "connections", "Connections that the server takes.")
        found["pg_postmaster_start_time_seconds"] = _m(row[4], "seconds", "Last start, seconds since 1970 UTC.")
    row = connection.execute(ARCHIVER).fetchone()
    if row is not None:
        found["pg_stat_archiver_archived_count"] = _m(row[0], "segments", "Segments of the write-ahead log archived.")
        found["pg_stat_archiver_failed_count"] = _m(row[1], "attempts", "Attempts to archive that failed.")
        if row[2] is not None:
            found["pg_stat_archiver_last_archive_age"] = _m(row[2], "seconds", "Time since a segment was archived.")
    return found


COLUMNS = (
    ("pg_stat_database_numbackends", "connections", "Connections to the database."),
    ("pg_stat_database_xact_commit", "transactions", "Transactions committed."),
    ("pg_stat_database_xact_rollback", "transactions", "Transactions rolled back."),
    ("pg_stat_database_blks_hit", "blocks", "Blocks found in the server's own cache."),
    ("pg_stat_database_blks_read", "blocks", "Blocks read from the operating system."),
    ("pg_stat_database_deadlocks", "deadlocks", "Deadlocks detected."),
    ("pg_stat_database_temp_bytes", "bytes", "Bytes written to temporary files."),
    ("pg_stat_database_tup_returned", "rows", "Rows returned."),
    ("pg_stat_database_tup_fetched", "rows", "Rows fetched."),
    ("pg_stat_database_tup_inserted", "rows", "Rows inserted."),
    ("pg_stat_database_tup_updated", "rows", "Rows updated."),
    ("pg_stat_database_tup_deleted", "rows", "Rows deleted."),
    ("pg_database_size_bytes", "bytes", "Size of the database on disk."),
)
"""Name, unit and meaning of each column of DATABASE."""
NAMES, UNITS, HELPS = zip(*COLUMNS, strict=True)


def _m(value: float, unit: str, help: str) -> Metric:
    return Metric(value=float(value), unit=unit, help=help)
