"""Restore a backup onto an empty directory. Killed at any moment, it leaves a directory that no server takes for whole.

Everything is unpacked and verified in a folder of its own, plugins put their part in its place, then the core's own files
follow. As long as that folder is there, nothing opens the directory, and restoring again begins anew.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

import anyio
from packaging.version import InvalidVersion, Version

from enopax_core.core import archive
from enopax_core.core.archive import Header
from enopax_core.core.backups import FILES, LEDGER, PLUGINS, installed_plugins
from enopax_core.core.lock import FILE as LOCK
from enopax_core.core.lock import DirectoryLock
from enopax_core.errors import BackupRefused, EnopaxError
from enopax_core.governors import Governors
from enopax_core.registry import Registry

log = logging.getLogger(__name__)
UNFINISHED = "enopax-restore.unfinished"
Plugins = tuple[Registry, Governors]
"""What is installed where a backup is restored."""


def refuse_unfinished(data_dir: Path) -> None:
    """Raises BackupRefused for a directory that was not restored to the end."""
    if (data_dir / UNFINISHED).exists():
        raise BackupRefused(f"A backup was not restored to the end in {data_dir}: run enopax restore-backup again.")


async def restore(file: Path, data_dir: Path, plugins: Callable[[Path], Plugins]) -> Header:
    """Restore a backup. `plugins` gives those that take their part back, by the settings found in a folder.

    Raises BackupRefused, DataDirectoryInUse; then the directory is as empty as before.
    """
    await anyio.Path(data_dir).mkdir(parents=True, exist_ok=True, mode=0o700)
    with DirectoryLock(data_dir):
        await anyio.to_thread.run_sync(_make_room, data_dir)
        folder = data_dir / UNFINISHED
        try:
            header = await anyio.to_thread.run_sync(_unpack, file, folder)
            refuse_newer("Enopax", header.version, version("enopax-core"))
            registry, governors = plugins(folder)
            refuse_missing(header, registry)
            await _give_back(header, folder / PLUGINS, governors)
            await anyio.to_thread.run_sync(_put_in_place, folder, data_dir)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_empty, data_dir)
            raise
        await anyio.to_thread.run_sync(_finish, folder)
        return header


def refuse_newer(what: str, written_by: str | None, installed: str | None) -> None:
    """Raises BackupRefused where a newer version wrote it: this one could not read what it does not know."""
    try:
        newer = written_by is not None and installed is not None and Version(written_by) > Version(installed)
    except InvalidVersion as error:
        raise BackupRefused(f"The version of {what} in this backup cannot be understood: {written_by}.") from error
    if newer:
        raise BackupRefused(f"This backup was written by {what} {written_by}, and {installed} is installed: upgrade first.")


def refuse_missing(header: Header, registry: Registry) -> None:
    """Raises BackupRefused where the data of a plugin would be left behind, or read by an older version of it."""
    installed = installed_plugins(registry)
    for name, plugin in header.plugins.items():
        if plugin.data and name not in installed:
            how = f"install {plugin.distribution} {plugin.version}" if plugin.distribution else "install it"
            raise BackupRefused(f"This backup holds data of the plugin {name}, which is not there: {how} first.")
        if name in installed:
            refuse_newer(f"the plugin {name}", plugin.version, installed[name])


async def _give_back(header: Header, folder: Path, governors: Governors) -> None:
    restores: Mapping[str, Callable[[Path], None]] = governors.restores()
    for name, plugin in header.plugins.items():
        if not plugin.data:
            continue
        if name not in restores:
            raise BackupRefused(f"The plugin {name} does not implement enopax_restore: its data would be left behind.")
        try:
            await anyio.to_thread.run_sync(restores[name], folder / name)
        except EnopaxError:
            raise
        except Exception as error:  # a plugin may fail in any way
            log.exception("The plugin %s could not be restored.", name)
            raise BackupRefused(f"The plugin {name} could not take its data back: {type(error).__name__}.") from error


def _make_room(data_dir: Path) -> None:
    """An empty folder to unpack into. Raises BackupRefused for a directory that holds anything but an unfinished restore."""
    if (data_dir / UNFINISHED).exists():
        _empty(data_dir)
    there = sorted(path.name for path in data_dir.iterdir() if path.name != LOCK)
    if there:
        raise BackupRefused(f"{data_dir} is not empty ({there[0]}): a backup is restored onto an empty directory alone.")
    (data_dir / UNFINISHED).mkdir(mode=0o700)


def _empty(data_dir: Path) -> None:
    """Empty a directory that was empty when the restore began; what names it as unfinished goes last."""
    for path in [path for path in data_dir.iterdir() if path.name not in (LOCK, UNFINISHED)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(data_dir / UNFINISHED, ignore_errors=True)


def _unpack(file: Path, folder: Path) -> Header:
    with file.open("rb") as source:
        return archive.unpack(source, folder)


def _put_in_place(folder: Path, data_dir: Path) -> None:
    for name in (*FILES, LEDGER):
        if (folder / name).exists():
            (folder / name).rename(data_dir / name)
    os.sync()  # everything, before the folder that calls it unfinished goes


def _finish(folder: Path) -> None:
    shutil.rmtree(folder)
    descriptor = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
