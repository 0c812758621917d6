"""Use case: back up the installation while it is used. What is copied, in which order, and why that is consistent.

1. Operations that change or take away what exists wait; what runs of them is waited for (`Engine.quiet`).
2. The ledger is copied, as of one moment. Every resource it names is there now, and stays until the end of step 4.
3. Key files are copied. Sealing every secret anew needs the data directory for itself, so the keys fit the ledger.
4. Every plugin copies what it keeps outside the ledger. What was provisioned since step 2 may come along: then it is an
   orphan in what is restored, never the other way round.

Then operations go on, and the archive is made from the copies.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points, version
from pathlib import Path

import anyio

from enopax_core.clock import Clock, rfc3339
from enopax_core.core import archive
from enopax_core.core.acceptance import audit
from enopax_core.core.archive import Header, PluginVersion
from enopax_core.core.lock import DirectoryLock
from enopax_core.engine.engine import Engine
from enopax_core.errors import Conflict, EnopaxError, Unavailable
from enopax_core.files import write_private
from enopax_core.governors import Governors
from enopax_core.hooks import Change
from enopax_core.ledger import audit as audit_log
from enopax_core.ledger.copying import anchor_of, copy_database
from enopax_core.ledger.interface import Ledger
from enopax_core.records.place import Place, Target
from enopax_core.records.principal import Permission, Principal
from enopax_core.registry import GROUP, Problem, Registry

log = logging.getLogger(__name__)
LEDGER = "ledger.sqlite3"
KEYS = ("vault.keys", "owner.key")
FILES = (*KEYS, "enopax.toml")
PLUGINS = "plugins"
STAGING = "backup.staging"
LAST = "last-backup"
"""File in the data directory: when the last backup was handed out whole."""
NOWHERE = Place(organisation_id="", organisation="", organisation_slug="")


@dataclass(frozen=True, kw_only=True)
class Backup:
    """Copies of everything, ready to be packed; they vanish at the end of the block that made them."""

    folder: Path
    header: Header

    def packed(self) -> Iterator[bytes]:
        """The archive. Blocks between the pieces."""
        return archive.pack(self.folder, self.header)


class Backups:
    """Backs up an open installation."""

    def __init__(
        self,
        *,
        data_dir: Path,
        ledger: Ledger,
        registry: Registry,
        governors: Governors,
        engine: Engine,
        clock: Clock,
    ) -> None:
        self._data_dir, self._ledger, self._registry, self._governors = data_dir, ledger, registry, governors
        self._engine, self._clock = engine, clock
        self._making = False

    @contextlib.asynccontextmanager
    async def make(self, principal: Principal) -> AsyncIterator[Backup]:
        """Copy everything; the copies are there to the end of the block.

        Raises Forbidden, Unavailable (an operation does not end, a plugin fails), Conflict (another backup is being made,
        or a plugin cannot be loaded: its part would be missing).
        """
        await self._governors.require(principal, Permission.ADMIN, Target())
        refuse_broken(self._registry.problems)
        change = Change(type="backup", permission=Permission.ADMIN, principal=principal, place=NOWHERE)
        with self._alone():
            await self._ledger.write(partial(audit, change=change, resource=None))
            async with staging(self._data_dir) as folder:
                async with self._engine.quiet():
                    anchor = await self._ledger.read(audit_log.head)
                    backed_up = await copy_everything(folder, self._data_dir, self._ledger.copy, self._governors)
                yield Backup(folder=folder, header=header(self._registry, backed_up, self._clock, str(anchor)))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        if self._making:
            raise Conflict("A backup is being made: try again when it is handed out.")
        self._making = True
        try:
            yield
        finally:
            self._making = False

    async def handed_out(self, backup: Backup) -> None:
        """Somebody has all of it: remember when it was made."""
        await anyio.to_thread.run_sync(remember, self._data_dir, backup.header)


def refuse_broken(problems: Sequence[Problem]) -> None:
    """Raises Conflict: nobody should find out when restoring that something was left out."""
    if problems:
        names = ", ".join(problem.plugin for problem in problems)
        raise Conflict(
            f"Plugins that cannot be loaded would be missing from the backup: {names}."
            " Mend them (enopax doctor says how), or name them in disabled_plugins."
        )


@contextlib.asynccontextmanager
async def at_rest(*, data_dir: Path, registry: Registry, governors: Governors, clock: Clock) -> AsyncIterator[Backup]:
    """Back up an installation that nobody runs: nothing has to wait, and nothing is migrated. Raises DataDirectoryInUse."""
    refuse_broken(registry.problems)
    with DirectoryLock(data_dir):
        async with staging(data_dir) as folder:

            async def copy_ledger(target: Path) -> None:
                await anyio.to_thread.run_sync(copy_database, data_dir / LEDGER, target)

            backed_up = await copy_everything(folder, data_dir, copy_ledger, governors)
            anchor = await anyio.to_thread.run_sync(anchor_of, folder / LEDGER)
            yield Backup(folder=folder, header=header(registry, backed_up, clock, anchor))


@contextlib.asynccontextmanager
async def staging(data_dir: Path) -> AsyncIterator[Path]:
    """An empty folder, in the data directory so that hard links work; what a killed backup left is cleared."""
    await clear_staging(data_dir)
    folder = data_dir / STAGING
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        with anyio.CancelScope(shield=True):
            await clear_staging(data_dir)


async def clear_staging(data_dir: Path) -> None:
    """Remove what a backup has left, one that was killed too."""
    await anyio.to_thread.run_sync(partial(shutil.rmtree, data_dir / STAGING, ignore_errors=True))


async def copy_everything(
    folder: Path, data_dir: Path, copy_ledger: Callable[[Path], Awaitable[None]], governors: Governors
) -> Mapping[str, bool]:
    """Steps 2 to 4. Which plugins were asked, and whether they have put something into it."""
    await copy_ledger(folder / LEDGER)
    await anyio.to_thread.run_sync(_copy_files, folder, data_dir)
    backed_up: dict[str, bool] = {}
    for name, call in governors.backups().items():
        part = folder / PLUGINS / name
        part.mkdir(parents=True)
        try:
            await anyio.to_thread.run_sync(call, part)
        except EnopaxError:
            raise
        except Exception as error:  # a plugin may fail in any way; a backup without it would be none
            log.exception("The plugin %s could not add to the backup.", name)
            raise Unavailable(f"The plugin {name} could not add to the backup; the log says why.") from error
        backed_up[name] = any(part.iterdir())
    return backed_up


def header(registry: Registry, backed_up: Mapping[str, bool], clock: Clock, anchor: str) -> Header:
    """What the archive says of itself."""
    distributions = {entry.name: entry.dist.name for entry in entry_points(group=GROUP) if entry.dist is not None}
    installed = installed_plugins(registry)
    asked = {*backed_up, *(known.plugin for known in registry.providers)}
    plugins = {
        name: PluginVersion(distribution=distributions.get(name), version=installed.get(name), data=backed_up.get(name, False))
        for name in sorted(asked)
    }
    return Header(created_at=rfc3339(clock()), version=version("enopax-core"), plugins=plugins, anchor=anchor)


def installed_plugins(registry: Registry) -> Mapping[str, str | None]:
    """Versions of the plugins in use, by name; None: not installed as a distribution."""
    versions = {entry.name: entry.dist.version for entry in entry_points(group=GROUP) if entry.dist is not None}
    return {name: versions.get(name) for name, plugin in registry.manager.list_name_plugin() if plugin is not None}


def remember(data_dir: Path, header: Header) -> None:
    """Write down when the last backup was made. Blocks."""
    write_private(data_dir / LAST, header.created_at.encode() + b"\n")


def _copy_files(folder: Path, data_dir: Path) -> None:
    for name in FILES:
        if (data_dir / name).is_file():
            shutil.copy2(data_dir / name, folder / name)
            (folder / name).chmod(0o600)
