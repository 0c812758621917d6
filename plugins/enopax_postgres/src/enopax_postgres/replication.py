"""Streaming replication as the primary sees it: the slot that keeps the log, how far the replica is, what that means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import LiteralString

from psycopg import Connection

from enopax_core.provider import Condition, Metric
from enopax_postgres.hba import REPLICA

SLOT: LiteralString = "SELECT wal_status IS NOT DISTINCT FROM 'lost' FROM pg_replication_slots WHERE slot_name = %s"
BEHIND: LiteralString = """
SELECT r.pid IS NOT NULL, pg_wal_lsn_diff(pg_current_wal_lsn(), coalesce(r.replay_lsn, s.restart_lsn))::bigint,
       coalesce(extract(epoch FROM r.replay_lag), 0)::float8
  FROM pg_replication_slots s
  LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid AND r.state = 'streaming'
 WHERE s.slot_name = %s
"""
"""Whether the replica follows, and how far it is behind; while it is away, the slot knows how much log is kept for it."""

DROP: tuple[LiteralString, LiteralString] = (
    "SELECT pg_terminate_backend(active_pid, 10000) FROM pg_replication_slots WHERE slot_name = %s AND active",
    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s",
)

ALONE = Condition(type="Replicated", status="False", reason="NoReplica", message="The plan has no replica.")


def ensure_slot(connection: Connection) -> None:
    """Keep the log for the replica from now on. One that was given up (`max_slot_wal_keep_size`) would refuse it for good."""
    row = connection.execute(SLOT, (REPLICA,)).fetchone()
    if row == (True,):
        drop_slot(connection)
    if row != (False,):
        connection.execute("SELECT pg_create_physical_replication_slot(%s, true)", (REPLICA,))


def drop_slot(connection: Connection) -> None:
    """Keep no log any more. The replica must have ended; what serves it may need a moment to see that. Repeatable."""
    for statement in DROP:
        connection.execute(statement, (REPLICA,))


def replicated(connection: Connection) -> Condition:
    """Whether the replica follows."""
    if connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
        return _not("Promoting", "A failover was begun and has not ended: POST …/failover ends it.")
    row = connection.execute(BEHIND, (REPLICA,)).fetchone()
    if row is None or not row[0]:
        return _not("NotStreaming", "The replica does not follow: if it stays so, POST …/replica/rebuild makes it anew.")
    return Condition(type="Replicated", status="True", reason="Streaming", message=f"The replica is {row[1] or 0} bytes behind.")


def unreachable() -> Condition:
    """The primary cannot be asked."""
    message = "The primary does not answer: if it stays so, POST …/failover makes the replica the primary."
    return Condition(type="Replicated", status="Unknown", reason="PrimaryGone", message=message)


def lag(connection: Connection) -> Mapping[str, Metric]:
    """How far the replica is behind; nothing where there is none, and no seconds while it does not follow."""
    row = connection.execute(BEHIND, (REPLICA,)).fetchone()
    if row is None or row[1] is None:
        return {}
    streaming, behind, seconds = row
    found = {"pg_replication_lag_bytes": Metric(value=behind, unit="bytes", help="Log that the replica has not replayed yet.")}
    if streaming:
        help = "Time the replica takes to replay a commit."
        found["pg_replication_lag_seconds"] = Metric(value=seconds, unit="seconds", help=help)
    return found


def _not(reason: str, message: str) -> Condition:
    return Condition(type="Replicated", status="False", reason=reason, message=message)
