"""A second server that follows the first: to read from, and to take over.

Which of the two is the primary stands in a file, written in one step: that is the moment of a failover. Ports belong to the
roles, not to the servers, so no address changes with it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import LiteralString

from psycopg import Connection

from enopax_core.provider import Condition, Metric, Operation, PermanentError, TemporaryError
from enopax_postgres import cluster
from enopax_postgres.databases import Databases
from enopax_postgres.hba import REPLICA, REPLICATION
from enopax_postgres.instance import Instance
from enopax_postgres.machine import Machine
from enopax_postgres.serverfiles import quoted, restore_command
from enopax_postgres.services import OTHER, SERVER

CATCH_UP_SECONDS = 30.0
DRAINED: LiteralString = """
SELECT pg_last_wal_replay_lsn() IS NOT DISTINCT FROM coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
"""


class Replicas:
    """Replicas of the databases of one installation."""

    def __init__(self, databases: Databases, machine: Machine) -> None:
        self._databases, self._machine = databases, machine

    def of(self, instance: Instance) -> Instance | None:
        """The server that is not the primary; None: the plan has no replica."""
        if instance.replica_port is None:
            return None
        server = OTHER if self._databases.primary(instance.id) == SERVER else SERVER
        return replace(
            instance,
            service=instance.id + server,
            layout=self._databases.layout_of(instance.id, server),
            port=instance.replica_port,
            pooler_port=None,
        )

    def ensure(self, operation: Operation, instance: Instance) -> None:
        """Have the plan's replica run and follow; make it where there is none. Return once it has caught up."""
        replica = self.of(instance)
        if replica is None:
            return
        self._databases.prepare(replica)
        data = replica.layout.data
        if not data.exists():
            operation.progress("provision", "Copying the database to its replica")
            self._copy(instance, replica, operation)
        address = replica.replication.conninfo(instance.port, REPLICATION, application_name=REPLICA)
        follow = {
            "primary_conninfo": quoted(address),
            "primary_slot_name": quoted(REPLICA),
            # What the slot could no longer keep is still in the archive.
            "restore_command": restore_command([replica.layout.archive / cluster.system_identifier(data)]),
            "unix_socket_directories": "''",
        }
        self._slot(instance)
        self._databases.start(operation, replica, follow)
        self._databases.reload(replica)
        self.wait(instance)
        self._databases.configure(instance)  # synchronous from here on, where that is asked for
        self._databases.reload(instance)

    def discard(self, instance: Instance) -> None:
        """Remove the replica's data: it does not belong to what the primary will be."""
        replica = self.of(instance)
        if replica is not None:
            self._machine.stop(replica.service)
            shutil.rmtree(replica.layout.data, ignore_errors=True)

    def wait(self, instance: Instance) -> None:
        """Return once the replica has replayed what is committed now. Raises TemporaryError where that takes too long."""
        replica = self.of(instance)
        if replica is None:
            return
        deadline = time.monotonic() + CATCH_UP_SECONDS
        with self._databases.administration(instance) as primary, self._databases.administration(replica) as follower:
            row = primary.execute("SELECT pg_current_wal_lsn()::text").fetchone()
            while follower.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", row).fetchone() != (True,):
                if time.monotonic() > deadline:
                    raise TemporaryError("The replica does not catch up.")
                time.sleep(0.02)

    def check(self, instance: Instance) -> None:
        """Raises PermanentError where the plan has no replica."""
        if instance.replica_port is None:
            raise PermanentError("This plan has no replica: postgres-medium has one.")

    def promote(self, operation: Operation, instance: Instance) -> None:
        """Make the replica the primary: stop the old one, so that nobody writes there any more, then change over.

        A primary that can still be stopped in order sends everything that was committed first.

        Raises: PermanentError where the replica cannot.
        """
        replica = self.of(instance)
        pointer = instance.layout.pointer
        if pointer.exists() and pointer.read_text("ascii").split()[1:] == [operation.id]:
            self._take_over(operation, instance)  # an earlier attempt got so far: the primary is the new one already
            return
        assert replica is not None  # noqa: S101  # checked before the operation was accepted
        if not self._databases.answers(replica):
            raise PermanentError("The replica does not answer: it cannot take over.")
        operation.progress("configure", "Stopping the old primary")
        self._machine.stop(instance.service)
        self._drain(replica)
        self._machine.stop(replica.service)
        server = replica.service.removeprefix(instance.id)
        self._machine.write(pointer, f"{server} {operation.id}\n".encode())
        self._take_over(operation, replace(replica, port=instance.port, pooler_port=instance.pooler_port))

    def _take_over(self, operation: Operation, primary: Instance) -> None:
        self._databases.start(operation, primary)
        with self._databases.administration(primary) as connection:
            if connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
                connection.execute("SELECT pg_promote()")
        self.discard(primary)
        self.ensure(operation, primary)
        self._databases.pool(primary)

    def _drain(self, replica: Instance) -> None:
        """Return once the replica has replayed all that it has received."""
        deadline = time.monotonic() + CATCH_UP_SECONDS
        with self._databases.administration(replica) as connection:
            while connection.execute(DRAINED).fetchone() != (True,) and time.monotonic() < deadline:
                time.sleep(0.02)

    def _copy(self, instance: Instance, replica: Instance, operation: Operation) -> None:
        self._databases.certify(replica)
        self._slot(instance)
        data = replica.layout.data
        draft = data.with_name("data.draft")
        shutil.rmtree(draft, ignore_errors=True)
        self._machine.run(
            instance.installation,
            "pg_basebackup",
            f"--pgdata={draft}",
            f"--dbname={replica.replication.conninfo(instance.port, REPLICATION)}",
            f"--slot={REPLICA}",
            "--checkpoint=fast",
            "--wal-method=stream",
            "--no-password",
            "--no-sync",
            beat=partial(operation.progress, "provision"),
        )
        self._machine.write(draft / "standby.signal", b"")
        cluster.sync(draft)
        draft.rename(data)

    def _slot(self, instance: Instance) -> None:
        with self._databases.administration(instance) as connection:
            if connection.execute("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", (REPLICA,)).fetchone() is None:
                connection.execute("SELECT pg_create_physical_replication_slot(%s, true)", (REPLICA,))


def replicated(connection: Connection) -> Condition:
    """Whether the replica follows, as the primary sees it."""
    row = connection.execute(
        "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint FROM pg_stat_replication"
        " WHERE application_name = %s AND state = 'streaming'",
        (REPLICA,),
    ).fetchone()
    if row is None:
        return Condition(type="Replicated", status="False", reason="NotStreaming", message="The replica does not follow.")
    return Condition(type="Replicated", status="True", reason="Streaming", message=f"The replica is {row[0]} bytes behind.")


def lag(connection: Connection) -> Mapping[str, Metric]:
    """How far the replica is behind, as the primary sees it; nothing while it does not follow."""
    row = connection.execute(
        "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint,"
        " coalesce(extract(epoch FROM replay_lag), 0)::float8 FROM pg_stat_replication WHERE application_name = %s",
        (REPLICA,),
    ).fetchone()
    if row is None:
        return {}
    return {
        "pg_replication_lag_bytes": Metric(value=row[0], unit="bytes", help="Log that the replica has not replayed yet."),
        "pg_replication_lag_seconds": Metric(value=row[1], unit="seconds", help="Time the replica takes to replay a commit."),
    }
