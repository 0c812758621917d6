"""Another major version in place, by `pg_upgrade` into a copy: the old data stays until the new server has proven itself.

Three names tell how far it is, whenever a kill comes: `data` is what the database is; `data.before` beside it is the old one, and
there until the new one is proven; `upgraded` is the moment from which on backups must begin anew, and there until they have.
No customer gets in before the proof is done, so going back loses nothing.
"""

from __future__ import annotations

import logging
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg.sql import SQL, Identifier

from enopax_core.errors import EnopaxError
from enopax_core.provider import Cancelled, Operation, PermanentError
from enopax_postgres import cluster, quota, sessions
from enopax_postgres.backups.keeping import BackupKeeping
from enopax_postgres.databases import Databases
from enopax_postgres.hba import ADMIN
from enopax_postgres.installations import Installation, Installations
from enopax_postgres.instance import Instance, real_time
from enopax_postgres.machine import PROGRAMS, Machine
from enopax_postgres.progress import Quiet
from enopax_postgres.replicas import Replicas
from enopax_postgres.templates import Templates

log = logging.getLogger(__name__)
NEXT, BEFORE, GONE, MOMENT = "data.next", "data.before", "data.gone", "upgraded"
LEFTOVERS = ("delete_old_cluster.sh", "update_extensions.sql")
"""Scripts that pg_upgrade leaves where it runs; what they do is done here."""
ROOM = 1 << 30
"""Bytes beside the copy itself: the new server's own files and log."""
PROOF = "proof"
"""Purpose of the port on which a server proves itself."""


SORTS_DIFFERENTLY: LiteralString = """
SELECT datcollversion IS DISTINCT FROM pg_database_collation_actual_version(oid)
  FROM pg_database WHERE datname = current_database()
"""
"""Whether indexes of text were made by another version of ICU: they would not find what is there."""


class Upgrades:
    """Upgrades databases of one installation."""

    def __init__(
        self,
        databases: Databases,
        backups: BackupKeeping,
        replicas: Replicas,
        installations: Installations,
        templates: Templates,
        machine: Machine,
    ) -> None:
        self._databases, self._backups, self._replicas = databases, backups, replicas
        self._installations, self._templates, self._machine = installations, templates, machine

    def mend(self, id: str) -> None:
        """Undo what a kill has left between two names: then the old data directory is the database again."""
        layout = self._databases.layout(id)
        if not layout.data.exists() and (layout.home / BEFORE).exists():
            (layout.home / BEFORE).rename(layout.data)

    def ensure(self, operation: Operation, instance: Instance, credentials: Mapping[str, str]) -> Instance:
        """Bring a database to the version that is asked for, and go on where a kill came; what it is then.

        Raises: PermanentError where it cannot be, the old version running as before; TemporaryError.
        """
        home = instance.layout.home
        if (home / BEFORE).exists() and not self._databases.answers(instance):  # whoever answers there has customers already
            self._prove(operation, instance, credentials)
        self._forget_old(home)
        wanted = self._wanted(instance)
        if wanted is not None:
            self._upgrade(operation, instance, wanted)
            instance = replace(instance, installation=wanted)
            self._prove(operation, instance, credentials)
            self._forget_old(home)
        if (home / MOMENT).exists():
            self._begin_anew(operation, instance)
        return instance

    def _wanted(self, instance: Instance) -> Installation | None:
        """The programs of another version, if one is asked for. Raises PermanentError for what cannot be."""
        version, now = instance.config.version, instance.installation.major
        if version == "default" or int(version) == now:
            return None
        if int(version) < now:
            raise PermanentError(
                f"This is PostgreSQL {now} already, and there is no way back: dump it, and load it into an older one."
            )
        wanted = self._installations.get(version)
        missing = sorted(set(instance.config.extensions) - wanted.extensions())
        if missing:
            raise PermanentError(f"PostgreSQL {version} has no extension {', '.join(missing)} here.")
        return wanted

    # ── The copy ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _upgrade(self, operation: Operation, instance: Instance, wanted: Installation) -> None:
        """Make the new data directory and put it in the old one's place. Where that fails the old server runs again."""
        layout, new = instance.layout, instance.layout.home / NEXT
        operation.progress("allocate", "Looking whether there is room for a copy")
        self._end_strays(instance, wanted)
        needed = quota.used(layout) + ROOM
        if shutil.disk_usage(layout.home).free < needed:
            raise PermanentError(f"An upgrade copies the database: {needed} bytes must be free on this machine.")
        self._templates.create(wanted, instance.config.locale, new)
        if not self._databases.answers(instance):
            self._databases.start(operation, instance)  # after a kill: pg_upgrade wants it to have ended in order
        moment = real_time()
        self._backups.flush(instance)
        self._machine.write(layout.home / MOMENT, moment.isoformat().encode())
        operation.progress("configure", "Stopping the server")
        self._databases.stop(instance.id)
        try:
            operation.progress("provision", f"Upgrading from PostgreSQL {instance.installation.major} to {wanted.major}")
            self._run(operation, instance, wanted)
        except EnopaxError:  # a cancellation too
            self._end_strays(instance, wanted)
            self._back(instance)
            raise
        cluster.sync(new)
        layout.data.rename(layout.home / BEFORE)
        operation.progress("provision", "Changing over")
        new.rename(layout.data)
        cluster.sync(layout.home)

    def _run(self, operation: Operation, instance: Instance, wanted: Installation) -> None:
        layout = instance.layout
        access, identities = layout.conf / "upgrade_hba.conf", layout.conf / "upgrade_ident.conf"
        self._machine.write(access, f"local all {ADMIN} peer map=upgrade\n".encode())
        self._machine.write(identities, f'upgrade "{self._machine.user}" {ADMIN}\n'.encode())
        options = f"-c hba_file={shlex.quote(str(access))} -c ident_file={shlex.quote(str(identities))}"
        ended = self._machine.complete(
            wanted,
            "pg_upgrade",
            f"--old-bindir={instance.installation.programs}",
            f"--new-bindir={wanted.programs}",
            f"--old-datadir={layout.data}",
            f"--new-datadir={layout.home / NEXT}",
            f"--username={ADMIN}",
            f"--socketdir={instance.socket}-upgrade",
            f"--old-options={options}",
            f"--new-options={options}",
            "--no-sync",  # synced at once by the caller
            beat=partial(operation.progress, "provision"),
        )
        for name in LEFTOVERS:
            (self._machine.home(PROGRAMS) / name).unlink(missing_ok=True)
        if ended.status:
            said = ended.output.decode("utf-8", "replace")
            log.warning("pg_upgrade of %s failed: %s", instance.id, said)
            raise PermanentError(f"pg_upgrade refused, and nothing has changed: {last_words(said)}")

    def _end_strays(self, instance: Instance, wanted: Installation) -> None:
        """Remove the copy of an earlier attempt, and end servers that its pg_upgrade had started: they leave its group."""
        new = instance.layout.home / NEXT
        if not self._machine.runs(instance.service):
            self._machine.complete(instance.installation, "pg_ctl", "stop", "--mode=fast", f"--pgdata={instance.layout.data}")
        if new.exists():
            self._machine.complete(wanted, "pg_ctl", "stop", "--mode=immediate", f"--pgdata={new}")
            shutil.rmtree(new)
        shutil.rmtree(instance.layout.home / GONE, ignore_errors=True)

    # ── The proof ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _prove(self, operation: Operation, instance: Instance, credentials: Mapping[str, str]) -> None:
        """Try the new server where no customer comes. Where it fails, the old one runs again. Raises PermanentError."""
        home, data = instance.layout.home, instance.layout.data
        proof = replace(instance, port=self._machine.port(instance.id, PROOF), pooler_port=None, replica_port=None)
        try:
            self._databases.start(operation, proof, {"listen_addresses": "'127.0.0.1'"})
            operation.progress("verify", "Looking at the new server")
            self._furnish(proof)
            sessions.login(
                host=sessions.HOST,
                port=proof.port,
                database=instance.config.database,
                username=credentials["username"],
                password=credentials["password"],
                authority=instance.layout.conf / "authority.crt",
            )
        except (EnopaxError, psycopg.Error) as error:
            self._databases.stop(instance.id)
            data.rename(home / GONE)
            (home / BEFORE).rename(data)
            shutil.rmtree(home / GONE)
            self._machine.give_back(instance.id, PROOF)
            old = replace(instance, installation=self._installations.get((data / "PG_VERSION").read_text("ascii").strip()))
            self._back(old)
            if isinstance(error, Cancelled):
                raise
            said = error.message if isinstance(error, EnopaxError) else type(error).__name__
            raise PermanentError(
                f"The new server did not prove itself, and PostgreSQL {old.installation.major} goes on: {said}"
            ) from error
        self._databases.stop(instance.id)
        self._machine.give_back(instance.id, PROOF)

    def _furnish(self, proof: Instance) -> None:
        """Extensions of the new programs, and statistics that are good enough to begin with: pg_upgrade brings none before 18."""
        for database in (ADMIN, proof.config.database):
            with self._databases.administration(proof, database) as connection:
                for (name,) in connection.execute("SELECT extname FROM pg_extension").fetchall():
                    connection.execute(SQL("ALTER EXTENSION {} UPDATE").format(Identifier(name)))
                if connection.execute(SORTS_DIFFERENTLY).fetchone() == (True,):
                    connection.execute(SQL("REINDEX DATABASE {}").format(Identifier(database)))
                    connection.execute(SQL("ALTER DATABASE {} REFRESH COLLATION VERSION").format(Identifier(database)))
                connection.execute("SET default_statistics_target = 1")
                connection.execute("ANALYZE")

    def _forget_old(self, home: Path) -> None:
        if (home / BEFORE).exists():
            (home / BEFORE).rename(home / GONE)
        shutil.rmtree(home / GONE, ignore_errors=True)

    # ── Before and after ──────────────────────────────────────────────────────────────────────────────────────────────

    def _back(self, old: Instance) -> None:
        """The old server takes customers again, as if nothing had been; a cancellation does not reach this."""
        (old.layout.home / MOMENT).unlink(missing_ok=True)
        self._databases.start(Quiet(), old)
        self._databases.pool(old)
        self._replicas.ensure(Quiet(), old)  # commits may wait for it

    def _begin_anew(self, operation: Operation, instance: Instance) -> None:
        """Let customers in; what was copied from the old server, backups and replica, begins anew."""
        marker = instance.layout.home / MOMENT
        moment = datetime.fromisoformat(marker.read_text("ascii"))
        self._replicas.discard(instance)
        self._databases.start(operation, instance)
        self._databases.pool(instance)
        self._replicas.ensure(operation, instance)
        operation.progress("backup", "Collecting statistics")
        with self._databases.administration(instance, instance.config.database) as connection:
            connection.execute("ANALYZE")
        self._backups.begin_anew(instance, moment)
        self._backups.take(instance, partial(operation.progress, "backup", "Taking a full backup"), full=True)
        marker.unlink()


def last_words(said: str) -> str:
    """What pg_upgrade complained of: its output ends with it."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and "Failure, exiting" not in line]
    return " ".join(lines[-4:])
