"""The plugin's hooks."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

from enopax_core import Host, Provider, hookimpl
from enopax_core.errors import PluginRefused
from enopax_script.folder import PROVIDERS, folders, open_folder
from enopax_script.provider import provider_of
from enopax_script.runs import Runs
from enopax_script.settings import ScriptSettings

log = logging.getLogger(__name__)

enopax_settings = {"script": ScriptSettings}


@hookimpl
def enopax_providers(host: Host) -> Iterable[Provider[Any]]:
    """One for each folder; a broken one is reported and stops nobody."""
    for path in folders(host.settings("script", ScriptSettings).folders, host.data_dir):
        try:
            folder = open_folder(path)
            provider = provider_of(folder, data=_directory(host) / "data" / folder.manifest.endpoint, runs=_runs(host))
        except (PluginRefused, OSError) as error:
            host.report_problem("script", str(error))
        else:
            yield provider


@hookimpl
@contextlib.asynccontextmanager
async def enopax_lifespan(host: Host) -> AsyncIterator[None]:
    """Before anything runs, end what a killed server has left running: the same change is about to run again."""
    left = await _runs(host).end_leftovers()
    if left:
        log.warning("Ended %d scripts that an earlier server had left running.", left)
    yield


@hookimpl
def enopax_backup(host: Host, folder: Path) -> None:
    """Copy what scripts keep, and the folders in the data directory. No links: scripts may write into what they keep."""
    for name, kept in _kept(host).items():
        if kept.is_dir():
            shutil.copytree(kept, folder / name, symlinks=True)


@hookimpl
def enopax_restore(host: Host, folder: Path) -> None:
    """Move both to where they were."""
    for name, kept in _kept(host).items():
        if (folder / name).is_dir():
            kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.move(folder / name, kept)


def _kept(host: Host) -> Mapping[str, Path]:
    return {"data": _directory(host) / "data", "providers": host.data_dir / PROVIDERS}


def _runs(host: Host) -> Runs:
    return Runs(_directory(host) / "runs")


def _directory(host: Host) -> Path:
    return host.data_dir / "script"
