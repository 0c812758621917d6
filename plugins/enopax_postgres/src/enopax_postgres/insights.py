"""Which queries take the time (pg_stat_statements). It lives in the database `postgres`, never in the customer's."""

from __future__ import annotations

import contextlib
from typing import LiteralString

from psycopg import Connection, errors
from psycopg.rows import class_row

from enopax_postgres.requests import Insights, Query

LIMIT = 20
QUERY: LiteralString = """
SELECT s.query, s.calls, s.total_exec_time / 1000 AS total_seconds, s.mean_exec_time / 1000 AS mean_seconds,
       s.max_exec_time / 1000 AS longest_seconds, s.rows
  FROM public.pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid JOIN pg_roles r ON r.oid = s.userid
 WHERE d.datname = %(database)s AND NOT r.rolsuper
"""
BY_TOTAL: LiteralString = " ORDER BY s.total_exec_time DESC LIMIT %(limit)s"
SLOWEST: LiteralString = " ORDER BY s.max_exec_time DESC LIMIT %(limit)s"


def ensure(connection: Connection) -> None:
    """Make the statistics readable. Repeatable, and by several at once: whoever is slower fails once it is there."""
    with contextlib.suppress(errors.UniqueViolation, errors.DuplicateObject):
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements SCHEMA public")


def read(connection: Connection, database: str) -> Insights:
    """The queries of a database, over a connection of the administration to the database `postgres`, where they are readable.

    Raises psycopg.errors.ObjectNotInPrerequisiteState where statistics begin with the next restart only.
    """
    arguments = {"database": database, "limit": LIMIT}
    row = connection.execute("SELECT stats_reset FROM public.pg_stat_statements_info").fetchone()
    with connection.cursor(row_factory=class_row(Query)) as cursor:
        by_total = tuple(cursor.execute(QUERY + BY_TOTAL, arguments))
        slowest = tuple(cursor.execute(QUERY + SLOWEST, arguments))
    assert row is not None  # noqa: S101  # the view has one row
    return Insights(since=row[0], by_total_time=by_total, slowest=slowest)
