"""Makes, starts and removes databases on this machine. Everything here blocks: the provider calls it from worker threads.

Each step is repeatable, because any of them may be the last one before a kill.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from pathlib import Path

import psycopg
from psycopg.rows import TupleRow

from enopax_core import ResourceRecord
from enopax_core.provider import LogLine, Outcome, PermanentError, Plan, Resource, TemporaryError
from enopax_postgres import pooler, quota, roles, services, sessions
from enopax_postgres.addresses import Address
from enopax_postgres.administration import Administrator
from enopax_postgres.authority import Authority
from enopax_postgres.config import DatabaseConfig
from enopax_postgres.files import Files
from enopax_postgres.hba import ADMIN, REPLICATION
from enopax_postgres.installations import Installations, version_of
from enopax_postgres.instance import Instance, real_time
from enopax_postgres.layout import Layout, primary
from enopax_postgres.machine import Machine
from enopax_postgres.names import is_spare
from enopax_postgres.plans import size_of
from enopax_postgres.pooler import PgBouncer
from enopax_postgres.progress import Progress
from enopax_postgres.services import OTHER, POOLER, SERVER
from enopax_postgres.templates import Templates

START_SECONDS = 60.0
"""Longest time from the start of a server to its first answer."""


class Databases:
    """The databases of one installation."""

    def __init__(
        self,
        *,
        plans: Sequence[Plan],
        backups: Path,
        installations: Installations,
        machine: Machine,
        authority: Authority,
        administrator: Administrator,
        templates: Templates,
        address: Address,
        pgbouncer: PgBouncer | None,
        rotation_grace: timedelta,
    ) -> None:
        """`backups` holds a directory for the backups of each database."""
        self._plans = {plan.id: plan for plan in plans}
        self._machine, self._backups, self._templates = machine, backups, templates
        self._installations, self._authority, self._address = installations, authority, address
        self._administrator, self._pgbouncer, self._rotation_grace = administrator, pgbouncer, rotation_grace
        self._files = Files(authority, address, machine, pgbouncer)

    # ── Finding ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def allocate(self, resource: Resource[DatabaseConfig], version: str) -> Instance:
        """What a new database will be; the same again on a later attempt. Raises PermanentError."""
        return self._instance(resource, _major(self.layout(resource.id)) or version)

    def find(self, resource: Resource[DatabaseConfig]) -> Instance:
        """What a resource's database is. Raises PermanentError when there is none, or its programs are gone."""
        major = _major(self.layout(resource.id)) or str(resource.state.get("major", ""))
        if not major:
            raise PermanentError("There is no database of this resource on this machine.")
        return self._instance(resource, major)

    def of(self, record: ResourceRecord) -> Instance:
        """The same for a resource as the ledger keeps it. Raises PermanentError."""
        layout, major = self.layout(record.id), _major(self.layout(record.id))
        if major is None:
            raise PermanentError("There is no database of this resource on this machine.")
        return self._compose(
            record.id, layout, major, self._plans[record.plan or ""], DatabaseConfig.model_validate(record.config)
        )

    def port(self, id: str) -> int:
        """The port of a database."""
        return self._machine.port(id, "direct")

    def layout(self, id: str) -> Layout:
        """Where a database's primary lies."""
        return self.layout_of(id, self.primary(id))

    def layout_of(self, id: str, server: str) -> Layout:
        """Where one of its two servers lies."""
        home = self._machine.home(id + server)
        return Layout(home=home, backups=home / "backups" if is_spare(id) else self._backups / id)

    def used(self, id: str) -> int:
        """Bytes that count against a database's disk."""
        layout = self.layout(id)
        return quota.used(layout) if layout.data.exists() else 0

    def major(self, id: str) -> int | None:
        """Major version of a database; None: it has no data."""
        found = _major(self.layout(id))
        return None if found is None else int(found)

    def primary(self, id: str) -> str:
        """Which of the two servers is the primary."""
        return primary(self._backups / id) or SERVER

    def ids(self) -> Iterable[str]:
        """Ids of everything that takes disk space."""
        kept = [path.name for path in self._backups.iterdir()] if self._backups.is_dir() else []
        return sorted({*kept, *(id for id in self._machine.services(SERVER) if not is_spare(id))})

    def exists(self, id: str) -> bool:
        """Whether there is anything of a database's server."""
        return self._machine.exists(id + SERVER)

    @property
    def first_plan(self) -> Plan:
        """The plan that applies when none is named."""
        return next(iter(self._plans.values()))

    def spare(self, name: str) -> Instance:
        """A server that belongs to nobody yet. Raises PermanentError."""
        return self._compose(name, self.layout(name), "default", self.first_plan, DatabaseConfig())

    def _instance(self, resource: Resource[DatabaseConfig], version: str) -> Instance:
        return self._compose(resource.id, self.layout(resource.id), version, resource.plan, resource.config)

    def _compose(self, id: str, layout: Layout, version: str, plan: Plan, config: DatabaseConfig) -> Instance:
        size = size_of(plan)
        return Instance(
            id=id,
            name=self._machine.names.of(id),
            service=id + self.primary(id),
            layout=layout,
            installation=self._installations.get(version),
            port=self.port(id),
            pooler_port=None if self._pgbouncer is None else self._machine.port(id, "pooler"),
            replica_port=self._machine.port(id, "replica") if size.replica else None,
            size=size,
            config=config,
        )

    # ── Making ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def first_login(self, resource: Resource[DatabaseConfig]) -> tuple[str, str]:
        """Name and password of the login of a new database; what was given out by an earlier attempt stays."""
        known = resource.credentials
        return known.get("username") or roles.LOGINS[0], known.get("password") or roles.new_password()

    def create(self, operation: Progress, instance: Instance, username: str, password: str) -> None:
        """Make a new database and let a login role in with a password."""
        operation.progress("configure", "Preparing the data directory")
        self.prepare(instance)
        if not instance.layout.data.exists():
            self._templates.create(instance.installation, instance.config.locale, instance.layout.data)
        self.start(operation, instance)
        self.furnish(instance, username, password)

    def hand_over(self, operation: Progress, instance: Instance, username: str, password: str) -> None:
        """Make a spare a new database and let a login role in with a password: what `create` does is done, for nobody."""
        operation.progress("configure", "Taking a server that runs already")
        self.prepare(instance)
        self.configure(instance)
        self._machine.ensure(services.server(instance, self._address))
        with self.administration(instance, instance.config.database) as connection:
            roles.set_password(connection, username, password)
            connection.execute("SELECT pg_reload_conf()")  # it has run with other access rules
        self.extend(instance)
        self._ensure_pooler(instance)

    def prepare(self, instance: Instance) -> None:
        """Make the directories of a database."""
        self._files.directories(instance)

    def take_over(self, id: str) -> None:
        """Make what another installation has left of a database ours: its backups, and its ports where they are free."""
        self._machine.own(self._backups / id, below=True)
        self._machine.renew_ports(id, self._address.listens)

    def start(
        self,
        operation: Progress,
        instance: Instance,
        more: Mapping[str, str] | None = None,
        seconds: float | None = START_SECONDS,
    ) -> None:
        """Bring the server's files up to date and start it; return once it answers, within `seconds` if given.

        `more` are settings for this start.
        """
        self.configure(instance, more)
        operation.progress("provision", "Starting the server")
        self._machine.ensure(services.server(instance, self._address))
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self.answers(instance):
            operation.progress("provision", "Waiting for the server to answer")
            late = deadline is not None and time.monotonic() > deadline
            if late or not self._machine.runs(instance.service):
                raise TemporaryError("The database server does not answer.")
            time.sleep(0.02)

    def configure(self, instance: Instance, more: Mapping[str, str] | None = None) -> None:
        """Bring the server's files up to date; a server that runs reads them at the next reload or start."""
        self.certify(instance)
        self._files.settings(instance, more)

    def certify(self, instance: Instance) -> None:
        """Bring the server's certificates up to date."""
        self._files.certificates(instance, real_time())

    def furnish(self, instance: Instance, username: str, password: str) -> None:
        """Roles, database and extensions; one login gets a password."""
        with self.administration(instance) as connection:
            roles.ensure_roles(connection, REPLICATION)
            roles.ensure_database(connection, instance.config.database)
            roles.set_password(connection, username, password)
        self.extend(instance)
        self.pool(instance)

    def pool(self, instance: Instance) -> None:
        """Have the pooler in front run, and read its files again."""
        if self._pgbouncer is not None and instance.pooler_port is not None:
            with self.administration(instance, instance.config.database) as connection:
                pooler.ensure_lookup(connection, roles.LOGINS)
        self._ensure_pooler(instance)

    def _ensure_pooler(self, instance: Instance) -> None:
        if self._pgbouncer is None or instance.pooler_port is None:
            return
        self._machine.ensure(services.pooler(instance, self._address, self._pgbouncer, instance.pooler_port))
        self._machine.signal(instance.id + POOLER, "HUP")

    def extend(self, instance: Instance) -> None:
        """Create the extensions that are asked for."""
        if instance.config.extensions:
            with self.administration(instance, instance.config.database) as connection:
                roles.ensure_extensions(connection, instance.config.extensions)

    def new_login(self, instance: Instance, username: str) -> tuple[str, str]:
        """Give the login role that is not `username` a new password; its name and password."""
        other, password = roles.other_login(username), roles.new_password()
        with self.administration(instance) as connection:
            roles.set_password(connection, other, password)
        return other, password

    def expire(self, instance: Instance, username: str) -> None:
        """Let the password of a login role end after the grace."""
        with self.administration(instance) as connection:
            roles.expire(connection, username, real_time() + self._rotation_grace)

    def outcome(self, instance: Instance, username: str | None = None, password: str | None = None) -> Outcome:
        """What a resource says of its database; credentials only where they are new."""
        database, address = instance.config.database, self._address
        connection = {"direct": address.url(instance.port, database)}
        if instance.pooler_port is not None:
            connection["pooler"] = address.url(instance.pooler_port, database)
        if instance.replica_port is not None:
            connection["replica"] = address.url(instance.replica_port, database)
        credentials = None
        if username is not None and password is not None:
            full_url = partial(address.full_url, database=database, username=username, password=password)
            credentials = {
                "username": username,
                "password": password,
                "database": database,
                "url": full_url(instance.port),
                **({} if instance.replica_port is None else {"replicaUrl": full_url(instance.replica_port)}),
                "ca": self._authority.certificate(real_time()).decode(),
            }
        return Outcome(access=connection["direct"], connection=connection, credentials=credentials, state=instance.state)

    # ── Connections ───────────────────────────────────────────────────────────────────────────────────────────────────

    def administration(self, instance: Instance, database: str = ADMIN) -> AbstractContextManager[psycopg.Connection[TupleRow]]:
        """A superuser's connection. Raises TemporaryError when the server cannot be reached."""
        return self._administrator.connect(instance.port, database)

    def answers(self, instance: Instance) -> bool:
        """Whether the server takes connections."""
        try:
            with self.administration(instance):
                return True
        except TemporaryError:
            return False

    def try_login(self, instance: Instance, username: str, password: str) -> None:
        """Log in as a customer would, with `verify-full`, at every address. Raises TemporaryError naming one that fails."""
        for port in (instance.port, instance.pooler_port, instance.replica_port):
            if port is not None:
                sessions.login(
                    host=self._address.public,
                    port=port,
                    database=instance.config.database,
                    username=username,
                    password=password,
                    authority=instance.layout.conf / "authority.crt",
                )

    def reload(self, instance: Instance) -> None:
        """Let a server that runs read its files again."""
        with self.administration(instance) as connection:
            connection.execute("SELECT pg_reload_conf()")

    def waiting(self, instance: Instance) -> list[str]:
        """What waits for a restart: parameters by name, and another minor version."""
        with self.administration(instance) as connection:
            return self.waiting_on(connection, instance)

    def waiting_on(self, connection: psycopg.Connection[TupleRow], instance: Instance) -> list[str]:
        """The same over a connection."""
        rows = connection.execute("SELECT name FROM pg_settings WHERE pending_restart ORDER BY name").fetchall()
        runs, installed = connection.info.server_version, version_of(instance.installation.programs)
        other = [] if installed in (None, f"{runs // 10000}.{runs % 10000}") else [f"PostgreSQL {installed}"]
        return [*(name for (name,) in rows), *other]

    def limits(self, instance: Instance) -> Mapping[str, str]:
        """How processors and memory of a database are limited on this machine: `cpu`, `memory` → cgroup, rlimit, nice or none."""
        return self._machine.limits(instance.service)

    def logs(self, id: str, lines: int) -> Sequence[LogLine]:
        """The latest lines of the server, oldest first. They hold no statement."""
        return self._machine.logs(id + self.primary(id), lines)

    async def follow(self, id: str, lines: int) -> AsyncGenerator[LogLine, None]:
        """The same, then each line as it is written; after a failover, by the server that took over."""
        while True:
            server = self.primary(id)
            async with contextlib.aclosing(self._machine.follow(id + server, lines)) as written:
                async for line in written:
                    yield line
                    if self.primary(id) != server:  # seen by what the old one tells as it ends and begins to follow
                        break
            if self.primary(id) == server:
                return

    # ── Ending ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def stop(self, id: str) -> None:
        """Take its servers and the pooler out of service; the data stays."""
        for part in (POOLER, self.primary(id), *(SERVER, OTHER)):
            self._machine.stop(id + part)

    def purge(self, id: str) -> None:
        """Free what a database takes, backups included."""
        for part in (POOLER, OTHER, SERVER):
            self._machine.remove(id + part)
        shutil.rmtree(self._backups / id, ignore_errors=True)
        self._machine.release(id)


def _major(layout: Layout) -> str | None:
    """Major version of a data directory, as PostgreSQL notes it there; None: there is none."""
    try:
        return (layout.data / "PG_VERSION").read_text("ascii").strip()
    except FileNotFoundError:
        return None
