"""The backups of a database, from taking one to bringing one back."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path

from enopax_core.provider import TemporaryError
from enopax_postgres import cluster
from enopax_postgres.administration import Administrator
from enopax_postgres.backups import gap
from enopax_postgres.backups.catalogue import Backup, Catalogue
from enopax_postgres.backups.recover import Target, choose, earliest, last_commit, materialise
from enopax_postgres.backups.take import Beat, take, verify
from enopax_postgres.instance import Instance, real_time
from enopax_postgres.layout import Layout
from enopax_postgres.machine import Machine
from enopax_postgres.requests import Backups

ARCHIVE_SECONDS = 60.0
"""Longest wait for the archive to take the last segment."""


class BackupKeeping:
    """Backups of the databases of one installation."""

    def __init__(self, machine: Machine, administrator: Administrator) -> None:
        self._machine, self._administrator = machine, administrator

    def catalogue(self, layout: Layout) -> Catalogue:
        """The backups of one database."""
        return Catalogue(layout, self._machine)

    def listing(self, instance: Instance) -> Backups:
        """All backups, newest first, and the bounds of recovery."""
        found = self.catalogue(instance.layout).all()
        return Backups(backups=tuple(reversed(found)), earliest=earliest(found), latest=self._latest(instance) if found else None)

    def take(self, instance: Instance, beat: Beat, *, full: bool) -> Backup:
        """Take and verify one, then remove what the plan no longer keeps. Raises TemporaryError where it is damaged."""
        catalogue = self.catalogue(instance.layout)
        catalogue.remove_drafts()
        gap_known = gap.since(instance.layout) is not None
        backup = take(self._machine, catalogue, instance, beat, full=full or gap_known)
        if backup.fault is not None:
            raise TemporaryError(f"The backup {backup.id} is damaged: {backup.fault}")
        gap.close(instance.layout, catalogue, backup.first_segment)
        catalogue.prune(real_time(), timedelta(days=instance.size.backup_days))
        return backup

    def begin_anew(self, instance: Instance, moment: datetime) -> None:
        """What was taken of an older version leads no further than to a moment: the log goes on under another identifier."""
        catalogue, system = self.catalogue(instance.layout), cluster.system_identifier(instance.layout.data)
        for backup in catalogue.all():
            if backup.system != system and backup.until is None:
                catalogue.save(backup.model_copy(update={"until": moment}))

    def verify(self, instance: Instance, id: str, beat: Beat) -> Backup:
        """Read a backup again and note what was found. Raises PermanentError if there is none of this id."""
        catalogue = self.catalogue(instance.layout)
        return verify(self._machine, catalogue, instance, catalogue.get(id), beat)

    def target(self, instance: Instance, *, backup: str | None, time: datetime | None) -> Target:
        """The end of a recovery that was asked for. Raises PermanentError naming the bounds."""
        return choose(self.catalogue(instance.layout), backup=backup, time=time, latest=self._latest(instance))

    def flush(self, instance: Instance) -> None:
        """Bring everything that is committed by now into the archive, with a commit behind it.

        A recovery target later than the last archived commit would end in an error: PostgreSQL waits to see a later one.
        """
        with self._administrator.connect(instance.port) as connection:
            connection.execute("SELECT pg_logical_emit_message(true, 'enopax', '')")
            row = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
        archive = instance.layout.archive / cluster.system_identifier(instance.layout.data)
        deadline = time.monotonic() + ARCHIVE_SECONDS
        while row is not None and not (archive / f"{row[0]}.gz").exists():
            if time.monotonic() > deadline:
                raise TemporaryError("The archive of the write-ahead log does not take the last changes.")
            time.sleep(0.02)

    def materialise(self, source: Instance, target: Target, data: Path, beat: Beat) -> None:
        """Put a backup of an instance where a server can start on it."""
        materialise(self._machine, source.installation, self.catalogue(source.layout), target, data, beat)

    def _latest(self, instance: Instance) -> datetime | None:
        """Of a server that runs it is now, because the archive can be brought up to date; else the last commit in there."""
        try:
            with self._administrator.connect(instance.port):
                return real_time()
        except TemporaryError:
            if not instance.layout.data.exists():
                return None
            archive = instance.layout.archive / cluster.system_identifier(instance.layout.data)
            return last_commit(self._machine, instance.installation, archive)
