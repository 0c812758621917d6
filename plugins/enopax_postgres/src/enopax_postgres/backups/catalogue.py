"""The backups of one database, as they lie on disk: `base/<id>/` beside `base/<id>.json`."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field

from enopax_core.provider import Config, PermanentError
from enopax_postgres.layout import Layout
from enopax_postgres.machine import Machine

SEGMENT = re.compile(r"^([0-9A-F]{8})([0-9A-F]{16})(\.[0-9A-F]{8}\.backup)?\.gz$")
"""Names in the archive: time line, number, and what pg_basebackup leaves as a mark. `.history` files are kept for good."""


class Backup(Config):
    """One base backup."""

    id: str
    kind: Literal["full", "incremental"]
    parent: str | None = Field(
        default=None, exclude_if=lambda value: value is None, description="What an incremental one builds on."
    )
    system: str = Field(description="System identifier: the archive that belongs to it.")
    version: int = Field(description="Major version of PostgreSQL.")
    started_at: datetime
    finished_at: datetime
    first_segment: str = Field(description="First segment of the write-ahead log that recovery needs.")
    size: int = Field(description="Bytes on disk.")
    verified_at: datetime | None = Field(default=None, exclude_if=lambda value: value is None)
    fault: str | None = Field(
        default=None, exclude_if=lambda value: value is None, description="What the last verification found wrong."
    )
    until: datetime | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="The archive has a gap from here on: this backup leads no further.",
    )


def outdated(backups: Sequence[Backup], now: datetime, keep: timedelta) -> list[Backup]:
    """Those that nobody can ask for any more.

    Kept is what is younger than `keep`, and the newest older one: without it the first hours of the window could not be
    recovered. What an incremental backup builds on stays with it.
    """
    begin, by_id = now - keep, {backup.id: backup for backup in backups}
    older = [backup for backup in backups if backup.finished_at <= begin and backup.fault is None]
    wanted = [backup for backup in backups if backup.finished_at > begin]
    wanted += sorted(older, key=lambda backup: backup.finished_at)[-1:]
    kept: set[str] = set()
    for backup in wanted:
        link: Backup | None = backup
        while link is not None:
            kept.add(link.id)
            link = None if link.parent is None else by_id.get(link.parent)
    return [backup for backup in backups if backup.id not in kept]


class Catalogue:
    """Reads and writes the notes; removes what is no longer needed."""

    def __init__(self, layout: Layout, machine: Machine) -> None:
        self._layout, self._machine = layout, machine

    def folder(self, id: str) -> Path:
        """Where a backup lies."""
        return self._layout.bases / id

    def note(self, id: str) -> Path:
        """What is noted of a backup."""
        return self._layout.bases / f"{id}.json"

    def draft(self, id: str) -> Path:
        """Where a backup lies while it is being taken."""
        return self._layout.bases / f".{id}"

    def all(self) -> list[Backup]:
        """Every complete backup, oldest first."""
        notes = sorted(self._layout.bases.glob("*.json"))
        found = [Backup.model_validate_json(note.read_bytes()) for note in notes]
        return sorted(found, key=lambda backup: backup.finished_at)

    def get(self, id: str) -> Backup:
        """One backup. Raises PermanentError."""
        found = next((backup for backup in self.all() if backup.id == id), None)
        if found is None:
            raise PermanentError(f"There is no backup {id}.")
        return found

    def last_good(self) -> Backup | None:
        """The newest backup that a verification has found whole."""
        return next((b for b in reversed(self.all()) if b.verified_at is not None and b.fault is None), None)

    def chain(self, backup: Backup) -> list[Backup]:
        """A backup with all it builds on, the full one first. Raises PermanentError where one is missing."""
        found = [backup]
        while found[0].parent is not None:
            found.insert(0, self.get(found[0].parent))
        return found

    def save(self, backup: Backup) -> None:
        """Write the note of a backup."""
        note = backup.model_dump_json(by_alias=True).encode()
        self._machine.write(self.note(backup.id), note)

    def prune(self, now: datetime, keep: timedelta) -> list[str]:
        """Remove backups that nobody can ask for any more, then the log before the oldest left; ids of what went."""
        backups = self.all()
        gone = [backup.id for backup in outdated(backups, now, keep)]
        for id in gone:
            self.note(id).unlink(missing_ok=True)  # first: without a note there is no backup
            shutil.rmtree(self.folder(id), ignore_errors=True)
        self._prune_archive([backup for backup in backups if backup.id not in gone])
        return gone

    def remove_drafts(self) -> None:
        """Remove what a killed process left half done."""
        for draft in self._layout.bases.glob(".*"):
            shutil.rmtree(draft, ignore_errors=True)

    def _prune_archive(self, kept: Sequence[Backup]) -> None:
        for folder in self._layout.archive.iterdir() if self._layout.archive.is_dir() else ():
            firsts = [backup.first_segment[8:] for backup in kept if backup.system == folder.name]
            if not firsts:
                continue  # no backup yet: everything may still be needed
            for file in folder.iterdir():
                name = SEGMENT.match(file.name)
                if name is not None and name[2] < min(firsts):
                    file.unlink(missing_ok=True)
