"""Databases made from backups: a new one from those of another, or one from its own, in its place."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from enopax_core.provider import Operation, PermanentError, Resource
from enopax_postgres import roles
from enopax_postgres.backups.installation import RESTORED
from enopax_postgres.backups.keeping import BackupKeeping
from enopax_postgres.backups.recover import Target, choose
from enopax_postgres.config import DatabaseConfig, Origin
from enopax_postgres.databases import Databases
from enopax_postgres.instance import Instance

if TYPE_CHECKING:
    from enopax_postgres.backups.offsite import Offsite

SIGNAL = "recovery.signal"
"""File in a data directory that asks for a recovery; PostgreSQL removes it at the end."""


class Recovery:
    """Recovers databases of one installation."""

    def __init__(self, databases: Databases, backups: BackupKeeping, offsite: Offsite | None) -> None:
        self._databases, self._backups, self._offsite = databases, backups, offsite

    def version(self, origin: Origin) -> str:
        """Major version that a database from these backups must have. Raises PermanentError."""
        catalogue = self._backups.catalogue(self._databases.layout(origin.resource))
        return str(choose(catalogue, backup=origin.backup, time=origin.time, latest=None).backup.version)

    def refuse(self, instance: Instance, target: Target) -> None:
        """Raises PermanentError where a database cannot become what it was: it has been upgraded since."""
        if target.backup.version != instance.installation.major:
            raise PermanentError(
                f"That was PostgreSQL {target.backup.version}, and this is {instance.installation.major}:"
                " recover it into a new database."
            )

    def create(self, operation: Operation, instance: Instance, origin: Origin, username: str, password: str) -> None:
        """Make a new database and let a login role in with a password; the source's passwords do not work there."""
        operation.progress("configure", "Copying the backup")
        source = replace(
            instance,
            id=origin.resource,
            service=origin.resource + self._databases.primary(origin.resource),
            layout=self._databases.layout(origin.resource),
            port=self._databases.port(origin.resource),
        )
        self._databases.prepare(instance)
        data = instance.layout.data
        if not data.exists() and self._databases.answers(source):
            self._backups.flush(source)
        if not data.exists() or (data / SIGNAL).exists():
            target = self._backups.target(source, backup=origin.backup, time=origin.time)
            self._replay(operation, instance, source, target)
        self._finish(operation, instance, username, password)

    def in_place(
        self,
        operation: Operation,
        instance: Instance,
        chosen: Callable[[], Target],
        credentials: Mapping[str, str],
    ) -> None:
        """Replace a database by an earlier state of itself. Its credentials stay; what it held goes at the end.

        What is left of it, an empty directory, says that this operation has been here: recovering again after a kill would
        lose what was written since.
        """
        home = instance.layout.home
        before = home / f"before-{operation.id}"
        target = chosen()
        self.refuse(instance, target)
        if not before.exists():
            if self._databases.answers(instance):
                self._backups.flush(instance)
            operation.progress("configure", "Stopping the server")
            self._databases.stop(instance.id)
            instance.layout.data.rename(before) if instance.layout.data.exists() else before.mkdir()
        self._replay(operation, instance, instance, target)
        self._finish(operation, instance, credentials["username"], credentials["password"])
        for other in set(home.glob("before-*")) - {before}:  # of operations that have ended, well or not
            shutil.rmtree(other)
        for entry in before.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def is_due(self, id: str) -> bool:
        """Whether a database came from a backup of the installation and was not brought back yet."""
        return self._marker(id).exists()

    def bring_back(self, operation: Operation, resource: Resource[DatabaseConfig]) -> Instance:
        """Recover a database to the last commit in a backup of the installation; credentials and addresses stay.

        What the store holds beyond that is replayed too: the ledger's password is set anew, should it be another by then.
        A port at which something else listens by now is given up for another. It is due until `brought_back`.
        """
        if not self._databases.layout(resource.id).data.exists():
            self._databases.take_over(resource.id)
        instance = self._databases.find(resource)
        self._databases.prepare(instance)
        if self._offsite is not None and not instance.layout.data.exists():
            operation.progress("configure", "Fetching what was archived since")
            self._offsite.fetch_origin(instance.layout)
        self._replay(operation, instance, instance, self._backups.target(instance, backup=None, time=None))
        self._databases.stop(instance.id)  # the settings of the recovery go
        self._databases.start(operation, instance)
        self._databases.furnish(instance, resource.credentials["username"], resource.credentials["password"])
        return instance

    def brought_back(self, id: str) -> None:
        """It is up, and everybody can know where."""
        self._marker(id).unlink()

    def _marker(self, id: str) -> Path:
        return self._databases.layout(id).backups / RESTORED

    def _replay(self, operation: Operation, instance: Instance, source: Instance, target: Target) -> None:
        """Copy the backup and replay the archive. The signal is there from the copy to the end of the recovery."""
        data = instance.layout.data
        if not data.exists():
            operation.progress("configure", f"Copying the backup {target.backup.id}")
            self._backups.materialise(source, target, data, partial(operation.progress, "configure"))
        if (data / SIGNAL).exists():
            settings = target.parameters([source.layout.archive / target.backup.system])
            self._databases.start(operation, instance, settings, seconds=None)

    def _finish(self, operation: Operation, instance: Instance, username: str, password: str) -> None:
        """Take the settings of the recovery back, let one login in and the other out."""
        self._databases.stop(instance.id)
        self._databases.start(operation, instance)
        self._databases.furnish(instance, username, password)
        with self._databases.administration(instance) as connection:
            roles.clear_password(connection, roles.other_login(username))
