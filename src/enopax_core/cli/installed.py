"""The plugins installed on this machine, as a server with the settings found here would use them. Nothing is opened."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from enopax_core import registry
from enopax_core.cli.serve import serve_settings
from enopax_core.core.core import Core


def installed(data_dir: Path | None) -> Sequence[dict[str, Any]]:
    """One row for each plugin, by name. Raises SettingsError."""
    settings = serve_settings({"data_dir": data_dir}, os.environ, Path.cwd())
    logging.getLogger("enopax_core").addHandler(logging.NullHandler())  # problems are shown in the table, not logged beside it
    core = Core(settings)
    return [_row(core, entry) for entry in registry.installed()]


def _row(core: Core, entry: EntryPoint) -> dict[str, Any]:
    problems = [problem.message for problem in core.registry.problems if problem.plugin == entry.name]
    is_off = entry.name in core.settings.disabled_plugins
    return {
        "name": entry.name,
        "distribution": entry.dist.name if entry.dist else None,
        "version": entry.dist.version if entry.dist else None,
        "module": entry.value,
        "state": "off" if is_off else "broken" if problems else "used",
        "providers": [known.endpoint for known in core.registry.providers if known.plugin == entry.name],
        "problems": problems,
    }
