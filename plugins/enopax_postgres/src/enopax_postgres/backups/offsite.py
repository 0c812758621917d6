"""Copies of backups and of the archive in a store that speaks S3. The local directory stays what is worked with.

Below a database's prefix lie `base/<backup>.tar.gz`, with `base/<backup>.json` beside it, written last, and `wal/` as in the
archive. A prefix belongs to one database of one installation: one that was restored, perhaps beside the original, reads
where that has written, and writes to a place of its own.
"""

from __future__ import annotations

import contextlib
import gzip
import secrets
import shutil
import tarfile
import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import ObjectStore, S3Store

from enopax_core.provider import TemporaryError
from enopax_postgres.backups.catalogue import SEGMENT, Backup, Catalogue, outdated
from enopax_postgres.layout import Layout
from enopax_postgres.machine import Machine
from enopax_postgres.settings import PostgresSettings

if TYPE_CHECKING:
    from obstore.store import S3Config

HISTORY = ".history.gz"
FETCHED = "fetched"
"""Directory among a database's backups: one that is being fetched."""


@dataclass(kw_only=True)
class Shipped:
    """What lies below a prefix."""

    backups: dict[str, Backup] = field(default_factory=dict)
    log: dict[str, int] = field(default_factory=dict)  # sizes by `system/name`


class Offsite:
    """The copies of one installation."""

    def __init__(self, store: ObjectStore, machine: Machine) -> None:
        self._store, self._machine = store, machine
        self._shipped: dict[str, Shipped] = {}
        self._failing: dict[str, datetime] = {}
        self._naming = threading.Lock()
        self._busy: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def failing_since(self, id: str) -> datetime | None:
        """Since when the copies of a database do not succeed; None: they do."""
        return self._failing.get(id)

    def place(self, layout: Layout) -> str:
        """The prefix of a database; made at the first call."""
        with self._naming:
            if not layout.offsite.exists():
                self._machine.write(layout.offsite, f"{layout.backups.name}/{secrets.token_hex(4)}\n".encode())
        return layout.offsite.read_text("utf-8").strip()

    def ship(self, layout: Layout, keep: timedelta, now: datetime) -> None:
        """Copy what is new, remove what is older than `keep`. The first time, fetch what is missing here. Blocks.

        Raises: TemporaryError when the store cannot be used.
        """
        id = layout.backups.name
        try:
            with self._busy[id], _reachable():
                if not layout.backups.exists():  # purged meanwhile
                    return
                if id not in self._shipped:
                    self._shipped[id] = self._begin(layout, keep, now)
                self._ship(layout, self._shipped[id], keep, now)
        except TemporaryError:
            self._failing.setdefault(id, now)
            self._shipped.pop(id, None)  # whatever it did take is looked for again
            raise
        self._failing.pop(id, None)

    def fetch_origin(self, layout: Layout) -> None:
        """Fetch what leads further than a backup of the installation: the newest backup and the log behind it. Blocks."""
        if not layout.origin.exists():
            return
        with _reachable():
            prefix = layout.origin.read_text("utf-8").strip()
            found = self._look(prefix)
            whole = [backup for backup in found.backups.values() if backup.fault is None]
            if whole:
                newest = max(whole, key=lambda backup: backup.finished_at)
                self._fetch(layout, prefix, found, _chain(found.backups, newest))
            layout.origin.unlink()

    def purge(self, layout: Layout) -> None:
        """Remove everything that this installation has copied of a database, then its backups here, which name the place.

        Blocks. Raises TemporaryError.
        """
        with self._busy[layout.backups.name], _reachable():
            self._shipped.pop(layout.backups.name, None)
            if layout.offsite.exists():
                for page in obstore.list(self._store, f"{self.place(layout)}/"):
                    self._delete([one["path"] for one in page])
            shutil.rmtree(layout.backups, ignore_errors=True)

    # ── Writing ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self, layout: Layout, keep: timedelta, now: datetime) -> Shipped:
        prefix = self.place(layout)
        found = self._look(prefix)
        gone = outdated(list(found.backups.values()), now, keep)
        self._fetch(layout, prefix, found, [backup for backup in found.backups.values() if backup not in gone])
        return found

    def _ship(self, layout: Layout, shipped: Shipped, keep: timedelta, now: datetime) -> None:
        prefix, catalogue = self.place(layout), Catalogue(layout, self._machine)
        for backup in catalogue.all():
            if backup.id not in shipped.backups and backup.fault is None and backup.verified_at is not None:
                self._put_folder(f"{prefix}/base/{backup.id}.tar.gz", catalogue.folder(backup.id))
            elif shipped.backups.get(backup.id) in (None, backup):
                continue
            obstore.put(self._store, f"{prefix}/base/{backup.id}.json", catalogue.note(backup.id).read_bytes())
            shipped.backups[backup.id] = backup
        for file in sorted(layout.archive.glob("*/*.gz")):
            name = f"{file.parent.name}/{file.name}"
            if name not in shipped.log and _belongs(file.name):
                obstore.put(self._store, f"{prefix}/wal/{name}", file)
                shipped.log[name] = file.stat().st_size
        self._prune(prefix, shipped, keep, now)

    def _prune(self, prefix: str, shipped: Shipped, keep: timedelta, now: datetime) -> None:
        for backup in outdated(list(shipped.backups.values()), now, keep):
            self._delete([f"{prefix}/base/{backup.id}.json"])  # first: without a note there is no backup
            self._delete([f"{prefix}/base/{backup.id}.tar.gz"])
            del shipped.backups[backup.id]
        needless = _needless(shipped.log, shipped.backups.values())
        self._delete([f"{prefix}/wal/{name}" for name in needless])
        for name in needless:
            del shipped.log[name]

    def _put_folder(self, key: str, folder: Path) -> None:
        with (
            obstore.open_writer(self._store, key) as writer,
            gzip.open(cast("IO[bytes]", writer), "wb", compresslevel=1) as packed,  # it needs `write` alone
            tarfile.open(fileobj=packed, mode="w|") as archive,
        ):
            archive.add(folder, arcname=".")

    def _delete(self, keys: list[str]) -> None:
        with contextlib.suppress(NotFoundError):
            if keys:
                obstore.delete(self._store, keys)

    # ── Reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _look(self, prefix: str) -> Shipped:
        found = Shipped()
        for page in obstore.list(self._store, f"{prefix}/"):
            for one in page:
                kind, _, name = one["path"].removeprefix(f"{prefix}/").partition("/")
                if kind == "wal":
                    found.log[name] = one["size"]
                elif name.endswith(".json"):
                    backup = Backup.model_validate_json(bytes(obstore.get(self._store, one["path"]).bytes()))
                    found.backups[backup.id] = backup
        return found

    def _fetch(self, layout: Layout, prefix: str, found: Shipped, backups: Collection[Backup]) -> None:
        """Fetch backups that are not here, and the log from the first of them on."""
        catalogue = Catalogue(layout, self._machine)
        for folder in (layout.archive, layout.bases):
            self._machine.directory(folder)
        here = {backup.id for backup in catalogue.all()}
        for backup in backups:
            if backup.id not in here:
                draft = layout.backups / FETCHED  # elsewhere than drafts, which the next backup removes
                self._get_folder(f"{prefix}/base/{backup.id}.tar.gz", draft)
                draft.rename(catalogue.folder(backup.id))
                catalogue.save(backup)
        needless = _needless(found.log, backups)
        for name, size in found.log.items():
            target = layout.archive / name
            if name in needless or (target.exists() and target.stat().st_size == size):
                continue
            self._machine.directory(target.parent)
            draft = target.with_name(f".{target.name}.new")
            with draft.open("wb") as file:
                for chunk in obstore.get(self._store, f"{prefix}/wal/{name}"):
                    file.write(chunk)
            self._machine.own(draft)
            draft.replace(target)

    def _get_folder(self, key: str, draft: Path) -> None:
        shutil.rmtree(draft, ignore_errors=True)
        reader = _Bytes(obstore.open_reader(self._store, key))
        with gzip.open(cast("IO[bytes]", reader)) as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
            archive.extractall(draft, filter="data")
        self._machine.own(draft, below=True)


def open_store(settings: PostgresSettings) -> ObjectStore:
    """The store that the settings name."""
    config: S3Config = {"region": settings.s3_region}
    if settings.s3_endpoint is not None:
        config["endpoint"] = settings.s3_endpoint
    if settings.s3_access_key_id is not None and settings.s3_secret_access_key is not None:
        config["access_key_id"] = settings.s3_access_key_id.get_secret_value()
        config["secret_access_key"] = settings.s3_secret_access_key.get_secret_value()
    return S3Store(
        settings.s3_bucket,
        prefix=settings.s3_prefix,
        config=config,
        client_options={"allow_http": (settings.s3_endpoint or "").startswith("http://")},
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=30)},  # the next round tries again anyway
    )


@contextlib.contextmanager
def _reachable() -> Iterator[None]:
    """Errors of a store may name the key that was used: only their kind goes on."""
    try:
        yield
    except (BaseError, OSError, tarfile.TarError) as error:
        raise TemporaryError(f"The store of backups cannot be used: {type(error).__name__}.") from None


def _belongs(name: str) -> bool:
    return name.endswith(HISTORY) or SEGMENT.match(name) is not None


def _chain(backups: Mapping[str, Backup], backup: Backup) -> list[Backup]:
    found = [backup]
    while found[0].parent is not None and found[0].parent in backups:
        found.insert(0, backups[found[0].parent])
    return found


def _needless(log: Collection[str], backups: Collection[Backup]) -> list[str]:
    """What no backup needs of the log; where a server has no backup, all of it may be needed still."""
    firsts: dict[str, str] = {}
    for backup in backups:
        number = backup.first_segment[8:]
        firsts[backup.system] = min(number, firsts.get(backup.system, number))
    found = []
    for name in log:
        system, _, file = name.partition("/")
        segment = SEGMENT.match(file)
        if segment is not None and segment[2] < firsts.get(system, ""):
            found.append(name)
    return found


class _Bytes:
    """What tarfile reads from: obstore's reader gives buffers of its own."""

    def __init__(self, reader: obstore.ReadableFile) -> None:
        self._reader = reader

    def read(self, size: int) -> bytes:
        return bytes(self._reader.read(size))
