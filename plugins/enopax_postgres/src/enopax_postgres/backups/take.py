"""Take a base backup, and verify it: a backup that nobody has read is none."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from pathlib import Path

from enopax_core.provider import PermanentError, TemporaryError
from enopax_postgres import cluster
from enopax_postgres.backups.catalogue import Backup, Catalogue
from enopax_postgres.hba import REPLICATION
from enopax_postgres.instance import Instance, real_time
from enopax_postgres.machine import Machine

INCREMENTAL_SINCE = 17
LONGEST_CHAIN = 7
"""A full backup at least so often: recovery reads the whole chain."""
Beat = Callable[[], None]


def take(machine: Machine, catalogue: Catalogue, instance: Instance, beat: Beat, *, full: bool) -> Backup:
    """Take a backup of a running server; incremental where the server can and the chain is short. Raises TemporaryError."""
    system = cluster.system_identifier(instance.layout.data)
    parent = None if full else _parent(catalogue, instance, system)
    if parent is not None:
        try:
            return _take(machine, catalogue, instance, beat, system, parent)
        except TemporaryError:  # the summaries of the log since then are gone: a full one needs none
            catalogue.remove_drafts()
    return _take(machine, catalogue, instance, beat, system, None)


def verify(machine: Machine, catalogue: Catalogue, instance: Instance, backup: Backup, beat: Beat) -> Backup:
    """Read a backup and compare it with its manifest; what was found is noted in it."""
    fault = None
    try:
        machine.run(instance.installation, "pg_verifybackup", str(catalogue.folder(backup.id)), beat=beat)
    except TemporaryError as error:
        fault = error.message
    backup = backup.model_copy(update={"verified_at": real_time(), "fault": fault})
    catalogue.save(backup)
    return backup


def _take(machine: Machine, catalogue: Catalogue, instance: Instance, beat: Beat, system: str, parent: Backup | None) -> Backup:
    started = real_time()
    id = f"{started:%Y%m%dt%H%M%Sz}-{secrets.token_hex(2)}"
    draft = catalogue.draft(id)
    machine.run(
        instance.installation,
        "pg_basebackup",
        f"--pgdata={draft}",
        f"--dbname={instance.replication.conninfo(instance.port, REPLICATION)}",
        "--checkpoint=fast",
        "--wal-method=stream",  # whole by itself, whatever becomes of the archive
        f"--label={id}",
        "--no-password",
        "--no-sync",  # synced at once below
        *([] if parent is None else [f"--incremental={catalogue.folder(parent.id) / 'backup_manifest'}"]),
        beat=beat,
    )
    backup = Backup(
        id=id,
        kind="full" if parent is None else "incremental",
        parent=None if parent is None else parent.id,
        system=system,
        version=instance.installation.major,
        started_at=started,
        finished_at=real_time(),
        first_segment=_first_segment(draft),
        size=sum(file.stat().st_size for file in draft.rglob("*") if file.is_file()),
    )
    cluster.sync(draft)
    draft.rename(catalogue.folder(id))
    return verify(machine, catalogue, instance, backup, beat)


def _parent(catalogue: Catalogue, instance: Instance, system: str) -> Backup | None:
    last = catalogue.last_good()
    if instance.installation.major < INCREMENTAL_SINCE or last is None or last.until is not None:
        return None
    same = (last.system, last.version) == (system, instance.installation.major)
    return last if same and len(catalogue.chain(last)) < LONGEST_CHAIN else None


def _first_segment(folder: Path) -> str:
    label = (folder / "backup_label").read_text("utf-8", "replace")
    found = re.search(r"^START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)$", label, re.MULTILINE)
    if found is None:
        raise PermanentError("The backup has no readable label.")
    return found[1]
