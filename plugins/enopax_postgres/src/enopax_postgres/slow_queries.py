"""A log of slow queries, without their values.

PostgreSQL's own (`log_min_duration_statement`) writes each statement with the values in it, a customer's secrets among them, to
a file. So the log is made from the statistics (pg_stat_statements), whose queries hold `$1` instead: at each look of the
watch, what a query has added since the last look. A slow run is missed where quick runs of the same query between the same
two looks outweigh it and none took longer than any before.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import LiteralString

from psycopg import Connection
from psycopg.rows import TupleRow
from pydantic import BaseModel, Field

from enopax_core.provider import Config
from enopax_postgres.instance import Instance, real_time
from enopax_postgres.machine import Machine
from enopax_postgres.requests import absent

SECONDS = 1.0
"""From which time on a query is slow."""
KEPT = 200
FILE = "slow-queries.json"
QUERY: LiteralString = """
SELECT s.userid || '/' || s.queryid || '/' || s.toplevel, s.query, s.calls, s.total_exec_time / 1000, s.max_exec_time / 1000
  FROM public.pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid JOIN pg_roles r ON r.oid = s.userid
 WHERE d.datname = %(database)s AND NOT r.rolsuper AND s.max_exec_time >= %(seconds)s * 1000
 ORDER BY 1
"""


class Totals(BaseModel, frozen=True):
    """What a query had added up to at the last look."""

    calls: int = 0
    seconds: float = 0.0
    longest: float = 0.0


class SlowQuery(Config):
    """What a query did between two looks."""

    seen_at: datetime  # of the later look: its runs ended before
    query: str
    calls: int
    mean_seconds: float
    longest_seconds: float | None = Field(default=None, exclude_if=absent)  # only where none took longer before


class SlowQueries(Config):
    """The latest slow queries, the newest first."""

    threshold_seconds: float = SECONDS
    queries: tuple[SlowQuery, ...]


class Kept(BaseModel):
    """The file."""

    totals: dict[str, Totals] = {}
    queries: list[SlowQuery] = []  # oldest first


class SlowQueryLog:
    """Keeps the log of each database beside its backups, so that it outlives a failover."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._looking = threading.Lock()  # the watch and a request must not tell of the same run

    def look(self, instance: Instance, connection: Connection[TupleRow]) -> SlowQueries:
        """Note what is new, over a connection of the administration to `postgres`, where the statistics are readable; the log.

        Raises psycopg.errors.ObjectNotInPrerequisiteState where statistics begin with the next restart only.
        """
        file = instance.layout.backups / FILE
        with self._looking:
            kept = Kept.model_validate_json(file.read_bytes()) if file.exists() else Kept()
            rows = connection.execute(QUERY, {"database": instance.config.database, "seconds": SECONDS}).fetchall()
            totals = {row[0]: Totals(calls=row[2], seconds=row[3], longest=row[4]) for row in rows}
            new = added(kept.totals, totals, {row[0]: row[1] for row in rows}, real_time())
            if totals != kept.totals:
                kept = Kept(totals=totals, queries=[*kept.queries, *new][-KEPT:])
                self._machine.write(file, kept.model_dump_json().encode())
        return SlowQueries(queries=tuple(reversed(kept.queries)))


def added(
    before: Mapping[str, Totals], now: Mapping[str, Totals], queries: Mapping[str, str], at: datetime
) -> Sequence[SlowQuery]:
    """The queries that were slow since the last look. Statistics that were begun anew are counted from nothing."""
    found = []
    for key, total in now.items():
        last = before.get(key, Totals())
        if total.calls < last.calls:
            last = Totals()
        calls = total.calls - last.calls
        if calls == 0:
            continue
        mean, is_longest = (total.seconds - last.seconds) / calls, total.longest > last.longest
        if mean >= SECONDS or is_longest:
            longest = total.longest if is_longest else None
            found.append(SlowQuery(seen_at=at, query=queries[key], calls=calls, mean_seconds=mean, longest_seconds=longest))
    return found
