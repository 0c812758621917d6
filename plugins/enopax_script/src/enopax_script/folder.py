"""A provider's folder: its manifest and the executables beside it, checked before anything is offered."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from enopax_core.errors import PluginRefused
from enopax_core.provider import HOOKS
from enopax_script.manifest import FILE, Manifest, read

PROVIDERS = "providers"  # below the data directory
COMPUTED = frozenset({"endpoints", "schedules", "follow"})  # hooks that no executable answers
ANSWERED = tuple(hook for hook in HOOKS if hook not in COMPUTED)
MANDATORY = ("provision", "status", "delete")
STARTS = (b"#!", b"\x7fELF")  # what the kernel runs without a shell


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder that can be offered."""

    path: Path
    manifest: Manifest
    executables: Mapping[str, Path]  # by hook or custom endpoint


def folders(configured: tuple[Path, ...], data_dir: Path) -> list[Path]:
    """Where providers are looked for: the configured folders, then all of `providers` in the data directory."""
    below = data_dir / PROVIDERS
    found = sorted(path for path in below.iterdir() if path.is_dir()) if below.is_dir() else []
    return list(dict.fromkeys(path.expanduser().absolute() for path in (*configured, *found)))


def open_folder(path: Path) -> Folder:
    """Read and check a folder. Raises PluginRefused naming file and remedy."""
    if not path.is_dir():
        raise PluginRefused(f"{path} is no folder: it should hold {FILE} and the executables.")
    manifest = read(path)
    wanted = (*ANSWERED, *(endpoint.name for endpoint in manifest.custom_endpoints))
    executables = {name: found for name in wanted if (found := _executable(path, name)) is not None}
    for name in (*MANDATORY, *(("restore", "purge") if manifest.retention_days else ())):
        if name not in executables:
            raise PluginRefused(f"{path} lacks the executable {name} (any extension or none).")
    for endpoint in manifest.custom_endpoints:
        if endpoint.name not in executables:
            raise PluginRefused(f"{path} lacks the executable {endpoint.name}, which {FILE} names as an endpoint.")
    _refuse_misspelt(path, wanted)
    return Folder(path=path, manifest=manifest, executables=executables)


def _executable(folder: Path, name: str) -> Path | None:
    """The executable that answers a hook: named as it is, with any extension or none."""
    named = [path for path in sorted(folder.iterdir()) if path.is_file() and path.stem == name and path.name != FILE]
    executables = [path for path in named if os.access(path, os.X_OK)]
    if len(executables) > 1:
        raise PluginRefused(f"{folder}: {' and '.join(path.name for path in executables)} both answer {name}: keep one.")
    if not executables:
        scripts = [path for path in named if path.read_bytes()[:2] == b"#!"]
        if scripts:
            raise PluginRefused(f"{scripts[0]} is not executable: chmod +x {scripts[0]}")
        return None
    with executables[0].open("rb") as file:
        if not file.read(4).startswith(STARTS):
            raise PluginRefused(f"{executables[0]} must begin with a line such as #!/usr/bin/env bash: no shell runs it.")
    return executables[0]


def _refuse_misspelt(folder: Path, wanted: tuple[str, ...]) -> None:
    """An executable whose name is nearly that of a hook would never be called, and nobody would notice."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and os.access(path, os.X_OK) and path.stem not in wanted:
            near = difflib.get_close_matches(path.stem, wanted, 1, cutoff=0.75)
            if near:
                raise PluginRefused(f"{path} answers nothing; did you mean {near[0]}{path.suffix}?")
