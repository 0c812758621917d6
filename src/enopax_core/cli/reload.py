"""`enopax serve --reload`: start again when the source of an editable plugin changes. The process stays the same one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import Distribution, entry_points
from importlib.util import find_spec
from pathlib import Path

import click

from enopax_core.errors import SettingsError, StartupError
from enopax_core.server.stop import Stop


def editable_sources() -> list[Path]:
    """Folders of the packages whose plugins are installed with `pip install --editable`. Raises StartupError, SettingsError."""
    if find_spec("watchfiles") is None:
        raise StartupError("--reload needs watchfiles: pip install 'enopax-core[testing]'.")
    found = set()
    for entry in entry_points(group="enopax"):
        spec = find_spec(entry.module.partition(".")[0])
        if entry.dist is not None and _is_editable(entry.dist) and spec is not None and spec.origin is not None:
            found.add(Path(spec.origin).parent)
    if not found:
        raise SettingsError("--reload watches plugins that were installed with `pip install --editable`, and there are none.")
    return sorted(found)


@contextlib.contextmanager
def watched(folders: Sequence[Path], stop: Stop) -> Iterator[asyncio.Event]:
    """Ask for a stop once a file below the folders changes; what is given is set then."""
    changed = asyncio.Event()

    async def watch() -> None:
        from watchfiles import awatch

        async for changes in awatch(*folders):
            _tell(changes)
            changed.set()
            stop.ask()
            return

    watching = asyncio.create_task(watch()) if folders else None
    try:
        yield changed
    finally:
        if watching is not None:
            watching.cancel()


def wait_for_change(folders: Sequence[Path]) -> None:
    """Return once a file below the folders has changed."""
    from watchfiles import watch

    for changes in watch(*folders):
        _tell(changes)
        return


def start_again() -> None:
    """Become the same command anew: same process, environment and options."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "enopax_core.cli", *sys.argv[1:]])  # noqa: S606  # ourselves


def _tell(changes: Iterable[tuple[object, str]]) -> None:
    click.echo(f"Changed: {', '.join(sorted({Path(path).name for _, path in changes}))}; starting again.")


def _is_editable(distribution: Distribution) -> bool:
    """Whether its files are an author's own (PEP 610)."""
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable"))
