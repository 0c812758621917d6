"""The provider `postgres`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import anyio.from_thread
import anyio.to_thread

from enopax_core import Host
from enopax_core.provider import (
    Action,
    Download,
    LogLine,
    Metric,
    Observed,
    Operation,
    Outcome,
    PermanentError,
    Plan,
    Provider,
    Resource,
    Upload,
    custom_endpoint,
    scheduled,
)
from enopax_postgres.backups.catalogue import Backup
from enopax_postgres.config import DatabaseConfig
from enopax_postgres.plans import size_of
from enopax_postgres.requests import Backups, Done, Insights, Recovered, RecoverRequest, dump_suffix
from enopax_postgres.slow_queries import SlowQueries

if TYPE_CHECKING:
    from enopax_postgres.parts import Parts

ENDPOINT = "postgres"
LOG_LINES = 200
LARGEST_UPLOAD = 1 << 50  # bytes; the bound is the plan's disk


class PostgresProvider(Provider[DatabaseConfig]):
    """A PostgreSQL server of its own for each resource, kept alive by the core's runtime."""

    name, endpoint = "postgres", ENDPOINT
    description = "A PostgreSQL database with TLS, backups and point-in-time recovery."
    retention = timedelta(days=7)
    timeout = timedelta(hours=12)  # a recovery reads whole archives

    def __init__(self, host: Host, plans: Sequence[Plan], parts: Callable[[], Parts]) -> None:
        """`parts` gives what does the work; asked late, because it imports what is not needed before."""
        self.plans = plans
        self._host, self._parts = host, parts

    # ── Life ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def provision(self, operation: Operation, resource: Resource[DatabaseConfig]) -> Outcome:
        parts, origin = self._parts(), resource.config.recover_from
        operation.progress("allocate", "Choosing programs and a port")
        version = resource.config.version if origin is None else parts.recovery.version(origin)
        spare = parts.spares.take(resource)
        instance = parts.databases.allocate(resource, version)
        anyio.from_thread.run(operation.announce, parts.databases.outcome(instance))
        username, password = parts.databases.first_login(resource)
        if spare:
            parts.databases.hand_over(operation, instance, username, password)
        elif origin is None:
            parts.databases.create(operation, instance, username, password)
        else:
            parts.recovery.create(operation, instance, origin, username, password)
        parts.replicas.ensure(operation, instance)
        operation.progress("verify", "Logging in as a client would")
        parts.databases.try_login(instance, username, password)
        return parts.databases.outcome(instance, username, password)

    def update(self, operation: Operation, resource: Resource[DatabaseConfig]) -> Outcome:
        parts = self._parts()
        operation.progress("configure", "Changing the server's settings")
        parts.upgrades.mend(resource.id)
        instance = parts.upgrades.ensure(operation, parts.databases.find(resource), resource.credentials)
        parts.changes.apply(instance)
        parts.replicas.ensure(operation, instance)
        known = resource.credentials  # the replica's address comes and goes with the plan
        return parts.databases.outcome(instance, known["username"], known["password"])

    def restore(self, operation: Operation, resource: Resource[DatabaseConfig]) -> Outcome:
        parts = self._parts()
        if parts.recovery.is_due(resource.id):
            return self._bring_back(operation, resource)
        instance = parts.databases.find(resource)
        if not instance.layout.data.exists():
            raise PermanentError("Nothing is left of this database.")
        parts.databases.start(operation, instance)
        parts.databases.pool(instance)
        parts.replicas.ensure(operation, instance)
        return parts.databases.outcome(instance)

    def rotate(self, operation: Operation, resource: Resource[DatabaseConfig]) -> Outcome:
        parts = self._parts()
        instance = parts.databases.find(resource)
        known = resource.credentials["username"]
        username, password = parts.databases.new_login(instance, known)
        if parts.looks.follows(instance):
            parts.replicas.wait(instance, operation)
            parts.databases.try_login(instance, username, password)
        else:  # it takes the new password over when it is back
            parts.databases.try_login(replace(instance, replica_port=None), username, password)
        parts.databases.expire(instance, known)
        return parts.databases.outcome(instance, username, password)

    def delete(self, operation: Operation, resource: Resource[DatabaseConfig]) -> None:
        parts = self._parts()
        if resource.state and parts.databases.answers(instance := parts.databases.find(resource)):
            operation.progress("delete", "Taking a last backup")
            parts.backups.take(instance, lambda: operation.progress("delete"), full=False)
        operation.progress("delete", "Stopping the server")
        parts.databases.stop(resource.id)

    def purge(self, operation: Operation, resource: Resource[DatabaseConfig]) -> None:
        operation.progress("purge", "Freeing the disk")
        parts = self._parts()
        if parts.offsite is not None:
            parts.offsite.purge(parts.databases.layout(resource.id))
        parts.databases.purge(resource.id)

    def suspend(self, operation: Operation, resource: Resource[DatabaseConfig]) -> None:
        self._parts().databases.stop(resource.id)

    def resume(self, operation: Operation, resource: Resource[DatabaseConfig]) -> None:
        parts = self._parts()
        if parts.recovery.is_due(resource.id):
            self._bring_back(operation, resource)
            return
        if parts.replicas.is_due(resource.id):
            parts.replicas.promote(operation, parts.databases.find(resource))
            return
        instance = parts.databases.find(resource)
        parts.databases.start(operation, instance)
        parts.databases.pool(instance)
        parts.replicas.ensure(operation, instance)

    def _bring_back(self, operation: Operation, resource: Resource[DatabaseConfig]) -> Outcome:
        parts = self._parts()
        instance = parts.recovery.bring_back(operation, resource)
        parts.replicas.ensure(operation, instance)
        username, password = resource.credentials["username"], resource.credentials["password"]
        parts.databases.try_login(instance, username, password)
        outcome = parts.databases.outcome(instance, username, password)
        anyio.from_thread.run(operation.announce, outcome)  # resuming has no outcome, and an address may be another
        parts.recovery.brought_back(resource.id)
        return outcome

    # ── Looks ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def preview(self, resource: Resource[DatabaseConfig]) -> Sequence[Action]:
        size = size_of(resource.plan)
        disk = f"{size.disk >> 30} GB on disk, {size.connections} connections, backups for {size.backup_days} days"
        if resource.applied is not None:
            return [Action(action="update", what=f"database {resource.config.database}", detail=disk)]
        origin = resource.config.recover_from
        what = "PostgreSQL server" if origin is None else f"PostgreSQL server, recovered from {origin.resource}"
        return [
            Action(action="create", what=what, detail=disk),
            Action(action="create", what=f"database {resource.config.database}"),
        ]

    def status(self, resource: Resource[DatabaseConfig]) -> Observed:
        parts = self._parts()
        return parts.looks.status(parts.databases.find(resource))

    def metrics(self, resource: Resource[DatabaseConfig]) -> Mapping[str, Metric]:
        parts = self._parts()
        return parts.looks.metrics(parts.databases.find(resource))

    def logs(self, resource: Resource[DatabaseConfig]) -> Sequence[LogLine]:
        return self._parts().databases.logs(resource.id, LOG_LINES)

    def follow(self, resource: Resource[DatabaseConfig]) -> AsyncGenerator[LogLine, None]:
        return self._parts().databases.follow(resource.id, LOG_LINES)

    def inventory(self) -> Iterable[str]:
        return self._parts().databases.ids()

    @custom_endpoint("GET", "/insights", permission="read")
    def insights(self, resource: Resource[DatabaseConfig]) -> Insights:
        """Queries that take the most time, and the slowest ones; without their values. In plans with query insights."""
        parts = self._parts()
        return parts.looks.insights(parts.databases.find(resource))

    @custom_endpoint("GET", "/slow-queries", permission="read")
    def slow_queries(self, resource: Resource[DatabaseConfig]) -> SlowQueries:
        """The latest queries that took a second or longer, newest first; without their values. In plans with query insights."""
        parts = self._parts()
        return parts.looks.slow_queries(parts.databases.find(resource))

    # ── Backups ───────────────────────────────────────────────────────────────────────────────────────────────────────

    @custom_endpoint("GET", "/backups", permission="read")
    def backups(self, resource: Resource[DatabaseConfig]) -> Backups:
        """All backups, newest first, with the earliest and the latest moment that can be recovered."""
        parts = self._parts()
        return parts.backups.listing(parts.databases.find(resource))

    @custom_endpoint("POST", "/backups", permission="operate")
    def back_up(self, operation: Operation, resource: Resource[DatabaseConfig]) -> Backup:
        """Take a backup now and verify it."""
        parts = self._parts()
        operation.progress("backup", "Copying the database")
        return parts.backups.take(parts.databases.find(resource), lambda: operation.progress("backup"), full=False)

    @scheduled(every=timedelta(days=1), first=timedelta(seconds=30))
    def daily_backup(self, operation: Operation, resource: Resource[DatabaseConfig]) -> None:
        """Take the backup of the day, verify it, and remove those that the plan no longer keeps."""
        parts = self._parts()
        parts.backups.take(parts.databases.find(resource), lambda: operation.progress("backup"), full=False)

    @custom_endpoint("POST", "/backups/{backup}/verify", permission="operate")
    def verify_backup(self, operation: Operation, resource: Resource[DatabaseConfig], backup: str) -> Backup:
        """Read a backup again and compare it with its checksums."""
        parts = self._parts()
        operation.progress("verify", f"Reading the backup {backup}")
        return parts.backups.verify(parts.databases.find(resource), backup, lambda: operation.progress("verify"))

    def _refuse_target(self, resource: Resource[DatabaseConfig], request: RecoverRequest) -> None:
        parts = self._parts()
        instance = parts.databases.find(resource)
        target = parts.backups.target(instance, backup=request.backup, time=request.time)
        if request.in_place:
            parts.recovery.refuse(instance, target)

    @custom_endpoint("POST", "/recover", permission="restore", destructive=True, check=_refuse_target)
    def recover(self, operation: Operation, resource: Resource[DatabaseConfig], request: RecoverRequest) -> Recovered:
        """Bring back the state of a moment or of a backup: as a new resource, or in place where that is asked for."""
        parts = self._parts()
        instance = parts.databases.find(resource)
        choose = partial(parts.backups.target, instance, backup=request.backup, time=request.time)
        if request.in_place:
            choose()  # before anything is touched
            parts.replicas.discard(instance)
            parts.recovery.in_place(operation, instance, choose, resource.credentials)
            parts.replicas.ensure(operation, instance)
            # The way from older backups leads over two time lines now: a new one makes it short.
            parts.backups.take(instance, partial(operation.progress, "backup"), full=True)
            return Recovered(id=resource.id, name=resource.name)
        body = {
            **resource.config.model_dump(by_alias=True, mode="json"),
            "name": request.name,
            "plan": resource.plan.id,
            "version": str(choose().backup.version),
            "recoverFrom": request.origin(resource.id),
        }
        provision = partial(self._host.resources.provision, beside=resource.id, key=operation.key("recover"))
        made = anyio.from_thread.run(provision, ENDPOINT, body)
        return Recovered(id=made.id, name=made.name)

    # ── Dumps ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    @custom_endpoint("GET", "/dump/{format}", permission="credentials")
    def dump(self, resource: Resource[DatabaseConfig], format: str) -> Download:
        """Download everything as `custom` (for pg_restore) or `plain` (SQL). Whoever may log in may read it all."""
        parts, suffix = self._parts(), dump_suffix(format)
        write = partial(parts.dumps.write, parts.databases.find(resource), resource.credentials, format)
        return Download(filename=f"{resource.name}.{suffix}", write=write)

    @custom_endpoint("POST", "/import", permission="restore", body_limit=LARGEST_UPLOAD)
    async def import_dump(self, resource: Resource[DatabaseConfig], upload: Upload) -> Done:
        """Load an archive of `pg_dump --format=custom` into the database: all of it, or nothing."""
        parts = await anyio.to_thread.run_sync(self._parts)
        instance = await anyio.to_thread.run_sync(parts.databases.find, resource)
        await parts.imports.load(instance, resource.credentials, upload.pieces)
        return Done(message="Imported.")

    # ── Upkeep ────────────────────────────────────────────────────────────────────────────────────────────────────────

    @custom_endpoint("POST", "/restart", permission="operate", destructive=True)
    def restart(self, operation: Operation, resource: Resource[DatabaseConfig]) -> Done:
        """Restart the server now, which applies what waits for it; connections end."""
        parts = self._parts()
        instance = parts.databases.find(resource)
        parts.changes.restart(operation, instance)
        parts.replicas.ensure(operation, instance)
        return Done(message="Restarted.")

    @scheduled(every=timedelta(hours=1))
    def upkeep(self, operation: Operation, resource: Resource[DatabaseConfig]) -> None:
        """Renew the certificate in time; restart within the maintenance window where something waits for it."""
        parts = self._parts()
        if parts.replicas.is_due(resource.id):
            parts.replicas.promote(operation, parts.databases.find(resource))
        instance = parts.databases.find(resource)
        parts.changes.upkeep(operation, instance, self._host.clock())
        parts.replicas.ensure(operation, instance)

    # ── Replica ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _refuse_failover(self, resource: Resource[DatabaseConfig]) -> None:
        parts = self._parts()
        parts.replicas.required(parts.databases.find(resource))

    @custom_endpoint("POST", "/failover", permission="operate", destructive=True, check=_refuse_failover)
    def failover(self, operation: Operation, resource: Resource[DatabaseConfig]) -> Done:
        """Make the replica the primary, also where the primary is gone; what was the primary is made anew as the replica."""
        parts = self._parts()
        parts.replicas.promote(operation, parts.databases.find(resource))
        instance = parts.databases.find(resource)
        parts.backups.take(instance, lambda: operation.progress("backup", "Taking a full backup"), full=True)
        return Done(message="The replica has taken over.")

    @custom_endpoint("POST", "/replica/rebuild", permission="operate", check=_refuse_failover)
    def rebuild(self, operation: Operation, resource: Resource[DatabaseConfig]) -> Done:
        """Make the replica anew from the primary."""
        parts = self._parts()
        instance = parts.databases.find(resource)
        parts.replicas.discard(instance)
        parts.replicas.ensure(operation, instance)
        return Done(message="The replica has been made anew.")
