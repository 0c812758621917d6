"""Announces a provider for each folder; one that is broken is told of and stops none of the others."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from enopax_core import Host, Provider, hookimpl
from enopax_core.errors import PluginRefused
from enopax_script.folder import FILE, Folder
from enopax_script.provider import provider_of
from enopax_script.settings import ScriptSettings

log = logging.getLogger(__name__)
enopax_settings = {"script": ScriptSettings}


def folders_of(settings: ScriptSettings, data_dir: Path) -> list[Path]:
    """Folders that the settings name, then those in the data directory."""
    own = sorted(path.parent for path in (data_dir / "providers").glob(f"*/{FILE}"))
    return [*settings.folders, *own]


@hookimpl
def enopax_providers(host: Host) -> Iterable[Provider[Any]]:
    """One provider for each folder."""
    found: dict[str, Provider[Any]] = {}
    for path in folders_of(host.settings("script", ScriptSettings), host.data_dir):
        try:
            provider = provider_of(Folder(path), host.data_dir / "script")
        except PluginRefused as error:
            log.error("The provider in %s cannot be used: %s", path, error.message)  # its sentence says it all
        else:
            found.setdefault(provider.endpoint, provider)
    return found.values()
