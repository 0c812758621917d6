"""What a database is like: its health with conditions, and its measures."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

import psycopg
from psycopg import Connection

from enopax_core.provider import Condition, Metric, Observed, PermanentError, TemporaryError
from enopax_postgres import insights, quota
from enopax_postgres.backups import gap
from enopax_postgres.backups.catalogue import Backup
from enopax_postgres.backups.keeping import BackupKeeping
from enopax_postgres.databases import Databases
from enopax_postgres.instance import Instance, real_time
from enopax_postgres.measure import measure
from enopax_postgres.replication import ALONE, lag, replicated, unreachable
from enopax_postgres.requests import Insights
from enopax_postgres.slow_queries import SlowQueries, SlowQueryLog

if TYPE_CHECKING:
    from enopax_postgres.backups.offsite import Offsite

OVERDUE = timedelta(hours=26)
"""A daily backup is missed when the last good one is older."""

COPIES_LATE = timedelta(minutes=15)
"""A store that is away for less needs nobody."""

DISK: Sequence[tuple[float, Literal["True", "False"], str, str]] = (
    (quota.CLOSED, "False", "Closed", ": the database takes no connections until the plan is a larger one"),
    (1.0, "False", "ReadOnly", ": it is read-only until something is removed (SET default_transaction_read_only = off)"),
    (quota.CRITICAL, "False", "Critical", ""),
    (quota.LOW, "True", "Low", ""),
)
"""From which share of the disk on, what the condition says."""


class Looks:
    """Looks at databases of one installation; changes nothing."""

    def __init__(self, databases: Databases, backups: BackupKeeping, slow_queries: SlowQueryLog, offsite: Offsite | None) -> None:
        self._databases, self._backups, self._slow_queries = databases, backups, slow_queries
        self._offsite = offsite

    def status(self, instance: Instance) -> Observed:
        """Health and conditions. Degraded is what needs somebody: no answer, no archive, no backup for a day."""
        if not instance.layout.data.exists():
            return _away(instance, "missing", "The data directory is gone.")
        backed_up = self._backed_up(instance)
        try:
            with self._databases.administration(instance) as connection:
                archived = _archived(connection, instance)
                waiting = self._databases.waiting_on(connection, instance)
                follows = [] if instance.replica_port is None else [replicated(connection)]
        except TemporaryError as error:
            return _away(instance, "degraded", error.message, backed_up)
        restart = Condition(
            type="RestartPending",
            status="True" if waiting else "False",
            reason="Changes" if waiting else "NothingWaits",
            message=f"{', '.join(waiting)} take effect with the next restart." if waiting else "",
        )
        disk = disk_space(quota.used(instance.layout) / instance.size.disk)
        copies = [] if self._offsite is None else [copied(self._offsite.failing_since(instance.id), real_time())]
        bad = [condition for condition in (archived, backed_up, disk, *copies, *follows) if condition.status == "False"]
        return Observed(
            health="degraded" if bad else "ready",
            message=" ".join(condition.message for condition in bad),
            conditions=[
                backed_up,
                archived,
                *copies,
                disk,
                restart,
                limited(self._databases.limits(instance)),
                *(follows or [ALONE]),
            ],
        )

    def follows(self, instance: Instance) -> bool:
        """Whether there is a replica that follows. Raises TemporaryError when the primary cannot be reached."""
        if instance.replica_port is None:
            return False
        with self._databases.administration(instance) as connection:
            return replicated(connection).status == "True"

    def metrics(self, instance: Instance) -> Mapping[str, Metric]:
        """Measures of the server, of the disk and of the backups. A server that does not answer is measured as down."""
        found: dict[str, Metric] = {}
        try:
            with self._databases.administration(instance) as connection:
                found.update(measure(connection, instance.config.database))
                found.update(lag(connection))
        except TemporaryError:
            found["pg_up"] = Metric(value=0, unit="boolean", help="Whether the server answers.")
        backups = self._backups.catalogue(instance.layout)
        last = backups.last_good()
        if last is not None:
            found["last_backup"] = Metric(
                value=last.finished_at.timestamp(), unit="seconds", help="Last good backup, seconds since 1970 UTC."
            )
        size = sum(backup.size for backup in backups.all())
        found["backup_size_bytes"] = Metric(value=size, unit="bytes", help="Size of all base backups.")
        used = self._databases.used(instance.id)
        found["disk_used_bytes"] = Metric(value=used, unit="bytes", help="Disk that counts against the plan's.")
        found["disk_limit_bytes"] = Metric(value=instance.size.disk, unit="bytes", help="Disk of the plan.")
        return found

    def insights(self, instance: Instance) -> Insights:
        """Queries that take the time. Raises PermanentError where the plan keeps no statistics."""
        with self._statistics(instance) as connection:
            return insights.read(connection, instance.config.database)

    def slow_queries(self, instance: Instance) -> SlowQueries:
        """Queries that were slow, as of now. Raises PermanentError where the plan keeps no statistics."""
        with self._statistics(instance) as connection:
            return self._slow_queries.look(instance, connection)

    @contextlib.contextmanager
    def _statistics(self, instance: Instance) -> Iterator[Connection]:
        if not instance.size.insights:
            raise PermanentError("This plan keeps no statistics of queries: postgres-medium does.")
        with self._databases.administration(instance) as connection:
            insights.ensure(connection)
            try:
                yield connection
            except psycopg.errors.ObjectNotInPrerequisiteState as error:
                raise PermanentError("The statistics of queries begin with the next restart of the server.") from error

    def _backed_up(self, instance: Instance) -> Condition:
        last, now = self._backups.catalogue(instance.layout).last_good(), real_time()
        return backed_up(last, now, _born(instance))


def backed_up(last: Backup | None, now: datetime, born: datetime) -> Condition:
    """Whether there is a good backup that is young enough; `born` is when there was none to expect."""
    if last is None:
        if now - born < OVERDUE:
            return Condition(type="BackedUp", status="Unknown", reason="NoBackupYet", message="The first backup is due.")
        return Condition(type="BackedUp", status="False", reason="NoBackup", message="There is no good backup.")
    if now - last.finished_at > OVERDUE:
        message = f"The last good backup is of {last.finished_at:%Y-%m-%d %H:%M} UTC."
        return Condition(type="BackedUp", status="False", reason="Overdue", message=message)
    return Condition(type="BackedUp", status="True", reason="Verified", message=f"Backup {last.id} is good.")


def copied(failing_since: datetime | None, now: datetime) -> Condition:
    """Whether backups and archive reach the store."""
    if failing_since is not None and now - failing_since > COPIES_LATE:
        message = f"Since {failing_since:%Y-%m-%d %H:%M} UTC backups do not reach the store."
        return Condition(type="Copied", status="False", reason="Failing", message=message)
    return Condition(type="Copied", status="True", reason="Copying")


def disk_space(share: float) -> Condition:
    """How much of the plan's disk is taken."""
    for bound, status, reason, message in DISK:
        if share >= bound:
            return Condition(type="DiskSpace", status=status, reason=reason, message=f"{share:.0%} of the disk is used{message}.")
    return Condition(type="DiskSpace", status="True", reason="Enough")


LIMITS: Mapping[tuple[str, str], str] = {
    ("cpu", "cgroup"): "Processors are limited for all processes together (cgroup)",
    ("cpu", "nice"): "Processors are not limited, but others come first (nice)",
    ("cpu", "none"): "Processors are not limited",
    ("memory", "cgroup"): "memory for all processes together (cgroup)",
    ("memory", "rlimit"): "private memory for each process alone (rlimit)",
    ("memory", "none"): "memory is not limited",
}
"""What a limit is worth, by what is limited and how (`Status.limits`)."""


def limited(how: Mapping[str, str]) -> Condition:
    """Whether the plan's processors and memory are what the database can use at most, all its processes taken together."""
    if not how:
        return Condition(type="Limited", status="Unknown", reason="NotStarted")
    message = "; ".join(LIMITS[limit] for limit in sorted(how.items())) + "."
    if all(kind == "cgroup" for kind in how.values()):
        return Condition(type="Limited", status="True", reason="Cgroup", message=message)
    return Condition(type="Limited", status="False", reason="NoCgroup", message=message)


def _away(instance: Instance, health: Literal["degraded", "missing"], message: str, *conditions: Condition) -> Observed:
    """A primary that cannot be asked; where there is a replica, that is the remedy."""
    follows = [] if instance.replica_port is None else [unreachable()]
    said = " ".join([message, *(condition.message for condition in follows)])
    return Observed(health=health, message=said, conditions=[*conditions, *follows])


def _born(instance: Instance) -> datetime:
    """When the data directory was made."""
    version = instance.layout.data / "PG_VERSION"
    return datetime.fromtimestamp(version.stat().st_mtime, real_time().tzinfo)


def _archived(connection: Connection, instance: Instance) -> Condition:
    """Whether the write-ahead log reaches the archive."""
    since = gap.since(instance.layout)
    if since is not None:
        message = f"Since {since:%Y-%m-%d %H:%M} UTC the archive has a gap; the next backup closes it."
        return Condition(type="Archived", status="False", reason="Gap", message=message)
    row = connection.execute(
        "SELECT last_failed_time > coalesce(last_archived_time, '-infinity') FROM pg_stat_archiver"
    ).fetchone()
    if row is not None and row[0]:
        return Condition(
            type="Archived", status="False", reason="Failing", message="The archive of the write-ahead log takes nothing."
        )
    return Condition(type="Archived", status="True", reason="Archiving")
