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

from enopax_core.provider import Operation, PermanentError, TemporaryError
from enopax_postgres import cluster
from enopax_postgres.backups import gap
from enopax_postgres.databases import Databases
from enopax_postgres.hba import REPLICA, REPLICATION
from enopax_postgres.instance import Instance
from enopax_postgres.machine import Machine
from enopax_postgres.progress import Progress
from enopax_postgres.replication import drop_slot, ensure_slot, replicated
from enopax_postgres.serverfiles import quoted, restore_command
from enopax_postgres.services import OTHER, SERVER

STALLED_SECONDS = 60.0
"""A replica that replays nothing for so long, though there is something, does not catch up."""
STANDBY = "standby.signal"
"""File in a data directory that makes a server follow; PostgreSQL removes it when it is promoted."""
DRAFT = "data.draft"
"""What is no data directory yet, or none any more."""
REPLAYED: LiteralString = "SELECT pg_last_wal_replay_lsn()::text, pg_last_wal_replay_lsn() >= %s::pg_lsn"


class Replicas:
    """Replicas of the databases of one installation."""

    def __init__(self, databases: Databases, machine: Machine) -> None:
        self._databases, self._machine = databases, machine

    def of(self, instance: Instance) -> Instance | None:
        """The server that is not the primary; None: the plan has no replica."""
        if instance.replica_port is None:
            return None
        server = self._other(instance)
        return replace(
            instance,
            service=instance.id + server,
            layout=self._databases.layout_of(instance.id, server),
            port=instance.replica_port,
            pooler_port=None,
        )

    def ensure(self, operation: Progress, instance: Instance) -> None:
        """Have the plan's replica run and follow; make it where there is none, remove it where the plan has none.

        Returns once it has caught up. Raises TemporaryError.
        """
        replica = self.of(instance)
        if replica is None:
            self._withdraw(instance)
            return
        self._databases.prepare(replica)
        data = replica.layout.data
        if not data.exists():
            operation.progress("provision", "Copying the database to its replica")
            self._copy(instance, replica, operation)
        with self._databases.administration(instance) as connection:
            ensure_slot(connection)
        try:
            self._databases.start(operation, replica, _following(instance, replica))
        except TemporaryError as error:
            raise TemporaryError("The replica does not start: POST …/replica/rebuild makes it anew.") from error
        self._databases.reload(replica)
        self.wait(instance, operation)
        self._let_stream(instance, operation)

    def discard(self, instance: Instance) -> None:
        """Remove the replica's data: it does not belong to what the primary is, or will be."""
        replica = self.of(instance)
        if replica is not None:
            self._machine.stop(replica.service)
            data, draft = replica.layout.data, replica.layout.home / DRAFT
            shutil.rmtree(draft, ignore_errors=True)
            if data.exists():
                data.rename(draft)  # a kill leaves the whole of it, or nothing that looks like it
            shutil.rmtree(draft, ignore_errors=True)

    def wait(self, instance: Instance, operation: Progress) -> None:
        """Return once the replica has replayed what is committed now. Raises TemporaryError where it stands still."""
        replica = self.of(instance)
        if replica is None:
            return
        with self._databases.administration(instance) as primary, self._databases.administration(replica) as follower:
            row = primary.execute("SELECT pg_current_wal_lsn()::text").fetchone()
            reached, since = None, time.monotonic()
            while (found := follower.execute(REPLAYED, row).fetchone()) is not None and found[1] is not True:
                if found[0] != reached:
                    reached, since = found[0], time.monotonic()
                if time.monotonic() - since > STALLED_SECONDS:
                    raise TemporaryError("The replica does not catch up: POST …/replica/rebuild makes it anew.")
                operation.progress("provision", "Waiting for the replica to catch up")
                time.sleep(0.02)

    def _let_stream(self, instance: Instance, operation: Progress) -> None:
        """Give the replica the time to take the log from the primary: what it has replayed by now may be the archive's.

        One that does not is no reason to fail: it has everything, and the condition tells.
        """
        until = time.monotonic() + STALLED_SECONDS
        with self._databases.administration(instance) as primary:
            while replicated(primary).status != "True" and time.monotonic() < until:
                operation.progress("provision", "Waiting for the replica to follow")
                time.sleep(0.02)

    def required(self, instance: Instance) -> Instance:
        """The server that is not the primary. Raises PermanentError where the plan has none."""
        replica = self.of(instance)
        if replica is None:
            raise PermanentError("This plan has no replica: postgres-medium has one.")
        return replica

    def inherits(self, id: str) -> bool:
        """Whether the replica is all that there is of a database: the primary's data directory is gone, under any name."""
        if any(self._databases.layout(id).home.glob("*/PG_VERSION")):
            return False  # an upgrade or a recovery in place may have put it aside
        other = OTHER if self._databases.primary(id) == SERVER else SERVER
        return self._machine.exists(id + other) and (self._databases.layout_of(id, other).data / STANDBY).exists()

    def is_due(self, id: str) -> bool:
        """Whether the replica must become the primary: because of that, or because a failover was begun and given up."""
        return (self._databases.layout(id).data / STANDBY).exists() or self.inherits(id)

    def promote(self, operation: Operation, instance: Instance) -> None:
        """Make the replica the primary: stop the old one, so that nobody writes there any more, then change over.

        A primary that answers is stopped in order, which sends the replica everything first. Of one that does not, there
        is what the replica has received, and what is archived.

        Raises: PermanentError where the replica cannot take over, TemporaryError where it is too far behind.
        """
        replica, pointer = self.required(instance), instance.layout.pointer
        begun = pointer.exists() and pointer.read_text("ascii").split()[1:] == [operation.id]
        if begun or (instance.layout.data / STANDBY).exists():  # this failover, or one that was given up
            self._take_over(operation, instance)
            return
        if not self.inherits(instance.id) and not self._databases.answers(replica):
            self._wake(operation, instance, replica)  # an earlier attempt, killed since, may have stopped it
        if self._databases.answers(instance):
            self.wait(instance, operation)  # what would not be sent before the server is killed is sent now
        operation.progress("configure", "Stopping the old primary")
        self._machine.stop(instance.service)
        self._machine.stop(replica.service)
        gap.carry(instance.layout, replica.layout, self._machine)
        server = replica.service.removeprefix(instance.id)
        self._machine.write(pointer, f"{server} {operation.id}\n".encode())
        cluster.sync(pointer.parent)  # from here on the old primary's data may go
        self._take_over(operation, replace(replica, port=instance.port, pooler_port=instance.pooler_port))

    def _wake(self, operation: Operation, instance: Instance, replica: Instance) -> None:
        refused = PermanentError("The replica does not answer: it cannot take over. POST …/recover brings back a backup.")
        if not (replica.layout.data / STANDBY).exists():
            raise refused
        try:
            self._databases.start(operation, replica, _following(instance, replica))
        except TemporaryError as error:
            raise refused from error

    def _take_over(self, operation: Operation, primary: Instance) -> None:
        """Promote, on the primary's port. Everything received is replayed first: PostgreSQL sees to that."""
        self._databases.start(operation, primary, {"restore_command": _archived(primary)})
        with self._databases.administration(primary) as connection:
            if not _promoted(connection):
                raise TemporaryError("The replica has not become the primary yet.")
        self._databases.pool(primary)
        if not (self.required(primary).layout.data / STANDBY).exists():
            self.discard(primary)  # it was the primary, and may hold what nobody else has
        self.ensure(operation, primary)

    def _withdraw(self, instance: Instance) -> None:
        """Remove what a larger plan has left."""
        service = instance.id + self._other(instance)
        if not self._machine.exists(service):
            return
        self._machine.stop(service)
        with self._databases.administration(instance) as connection:
            drop_slot(connection)
        self._machine.remove(service)

    def _copy(self, instance: Instance, replica: Instance, operation: Progress) -> None:
        self._databases.certify(replica)
        with self._databases.administration(instance) as connection:
            ensure_slot(connection)
        data = replica.layout.data
        draft = data.with_name(DRAFT)
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
        self._machine.write(draft / STANDBY, b"")
        cluster.sync(draft)
        draft.rename(data)

    def _other(self, instance: Instance) -> str:
        return OTHER if self._databases.primary(instance.id) == SERVER else SERVER


def _following(primary: Instance, replica: Instance) -> Mapping[str, str]:
    """Settings of a server that follows another."""
    address = replica.replication.conninfo(primary.port, REPLICATION, application_name=REPLICA)
    return {
        "primary_conninfo": quoted(address),
        "primary_slot_name": quoted(REPLICA),
        "restore_command": _archived(replica),  # what the slot could no longer keep
        "unix_socket_directories": "''",
    }


def _archived(server: Instance) -> str:
    return restore_command([server.layout.archive / cluster.system_identifier(server.layout.data)])


def _promoted(connection: Connection) -> bool:
    if connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,):
        return True
    return connection.execute("SELECT pg_promote()").fetchone() == (True,)
