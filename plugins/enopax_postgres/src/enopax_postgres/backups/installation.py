"""What a database puts into a backup of the whole installation, and how it comes back from one. Files alone are read.

The newest good backup with all it builds on, the archive from its beginning, and what the archive has not taken yet: so
it leads to the last commit, whether the server runs or not. Backups and archived segments never change, so they are
linked, and take no disk. Older backups stay behind.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import struct
from pathlib import Path

from enopax_core.errors import BackupRefused, Unavailable
from enopax_postgres import cluster
from enopax_postgres.backups import gap
from enopax_postgres.backups.catalogue import SEGMENT, Backup, Catalogue
from enopax_postgres.layout import Layout
from enopax_postgres.serverfiles import SEGMENT_BYTES

RESTORED = "restored"
"""File among the backups of a database: it came from a backup of an installation, and has not been brought back yet."""
LOG = re.compile(r"(?P<timeline>[0-9A-F]{8})(?P<log>[0-9A-F]{8})(?P<segment>[0-9A-F]{8})")
HISTORY = re.compile(r"[0-9A-F]{8}\.history")


def newest(layout: Layout, catalogue: Catalogue) -> Backup | None:
    """The backup that leads up to now; None: there is none, or the archive has a gap behind it."""
    last = catalogue.last_good()
    if last is None or last.until is not None or gap.since(layout) is not None:
        return None
    return last if not layout.data.exists() or cluster.system_identifier(layout.data) == last.system else None


def back_up(layout: Layout, catalogue: Catalogue, folder: Path) -> None:
    """Copy what brings a database back. Blocks. Raises Unavailable where nothing does."""
    last = newest(layout, catalogue)
    if last is None:
        raise Unavailable(
            f"The database {layout.backups.name} has no backup that leads up to now: let the server run, which takes one,"
            " or delete the database; then back up again."
        )
    chain = catalogue.chain(last)
    bases, archive = folder / "base", folder / "wal" / last.system
    for made in (bases, archive):
        made.mkdir(parents=True)
    for backup in chain:
        shutil.copytree(catalogue.folder(backup.id), bases / backup.id, copy_function=_link)
        shutil.copy2(catalogue.note(backup.id), bases)
    place = layout.origin if layout.origin.exists() else layout.offsite
    if place.exists():
        shutil.copy2(place, folder / layout.origin.name)
    first = min(backup.first_segment[8:] for backup in chain)
    kept = layout.archive / last.system
    _copy_tail(layout.data / "pg_wal", first, kept, archive)  # first: what is archived meanwhile is in the archive then
    for file in kept.iterdir() if kept.is_dir() else ():
        name = SEGMENT.match(file.name)
        if file.name.endswith(".history.gz") or (name is not None and name[2] >= first):
            (archive / file.name).unlink(missing_ok=True)
            _link(str(file), str(archive / file.name))
    if newest(layout, catalogue) != last:
        raise Unavailable(f"The archive of the database {layout.backups.name} has lost something: try again.")


def restore(folder: Path, backups: Path) -> None:
    """Put what `back_up` has copied where the backups of databases lie. Raises BackupRefused where another's lie already."""
    for copy in folder.iterdir():
        target = backups / copy.name
        if target.exists() and not (target / RESTORED).exists():
            raise BackupRefused(f"{target} holds backups already: [postgres] backup_dir must be another, or empty.")
        shutil.rmtree(target, ignore_errors=True)
        (copy / RESTORED).touch()
        shutil.move(copy, target)


def _copy_tail(log: Path, first: str, archived: Path, target: Path) -> None:
    """Copy the segments that are not archived. Of the one that is being written, recovery reads as far as it is whole."""
    for file in sorted(log.iterdir()) if log.is_dir() else ():
        if (archived / f"{file.name}.gz").exists() or not file.is_file():
            continue
        if HISTORY.fullmatch(file.name) or (file.name[8:] >= first and _holds_itself(file)):
            with file.open("rb") as source, gzip.open(target / f"{file.name}.gz", "wb", compresslevel=1) as packed:
                shutil.copyfileobj(source, packed)


def _holds_itself(file: Path) -> bool:
    """Whether a segment was begun: those that are kept for later are empty, or still hold what they held before.

    Each page says in its header at which address of the log it lies (`xlp_pageaddr`, PostgreSQL's xlog_internal.h).
    """
    name = LOG.fullmatch(file.name)
    if name is None:
        return False
    with file.open("rb") as segment:
        start = segment.read(16)
    if len(start) < 16:
        return False
    (address,) = struct.unpack_from("=Q", start, 8)
    found: bool = address == (int(name["log"], 16) << 32) + int(name["segment"], 16) * SEGMENT_BYTES
    return found


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
