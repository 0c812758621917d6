"""`enopax backup` and `enopax restore-backup`: the whole installation in one file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from enopax_core.cli.output import Output
from enopax_core.cli.partial import written_whole
from enopax_core.cli.servers import HERE, find
from enopax_core.client import Client
from enopax_core.errors import Unreachable

if TYPE_CHECKING:
    from enopax_core.core.archive import Header
    from enopax_core.core.core import Core

CHOICE = click.Choice(["table", "json"])
OUTPUT = click.option("--output", type=CHOICE, default="table", help="For people or for programs. [table]")


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--profile", help="A server that you have signed in to with `enopax login`.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="A local installation. [data]")
@OUTPUT
def backup(file: Path | None, profile: str | None, data_dir: Path | None, output: str) -> None:
    """Back up the whole installation into FILE, while the server runs or while it is stopped.

    The file holds every secret and the keys to them: its owner alone can read it, and it is as precious as the installation.
    It is verified before it gets its name. Without FILE the name tells the time.
    """
    from enopax_core.core.archive import unpack

    file = file or Path(f"enopax-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar")
    seen: list[Header] = []

    def verified(draft: Path) -> None:
        with draft.open("rb") as source:
            seen.append(unpack(source))

    size = written_whole(file, _pieces(profile, data_dir), verified)
    (header,) = seen
    shown = Output(json=output == "json")
    without = sorted(name for name, plugin in header.plugins.items() if not plugin.data)
    shown.fields(
        {
            "file": str(file),
            "bytes": size,
            "createdAt": header.created_at,
            "version": header.version,
            "anchor": header.anchor,
            "plugins": sorted(name for name, plugin in header.plugins.items() if plugin.data),
            "withoutData": without,
        }
    )
    shown.say(f"{file} holds every secret of the installation and the keys to them. Keep it as safe as the installation itself.")


@click.command("restore-backup")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--data-dir", type=click.Path(path_type=Path), required=True, help="Where to: an empty directory, or a new one.")
@OUTPUT
def restore(file: Path, data_dir: Path, output: str) -> None:
    """Restore a backup onto an empty directory; `enopax serve --data-dir` then goes on where the backup was made."""
    import anyio

    from enopax_core.core.restoring import Plugins
    from enopax_core.core.restoring import restore as restored

    def plugins(folder: Path) -> Plugins:
        core = _core(folder, data_dir)
        return core.registry, core.governors

    header = anyio.run(restored, file, data_dir, plugins)
    shown = Output(json=output == "json")
    shown.fields({"dataDir": str(data_dir), "createdAt": header.created_at, "version": header.version, "anchor": header.anchor})
    shown.say(f"Start it with: enopax serve --data-dir {data_dir}")


def _pieces(profile: str | None, data_dir: Path | None) -> Iterator[bytes]:
    """The archive, from the server that runs; where none does, made here."""
    named = data_dir or Path(os.environ.get("ENOPAX_DATA_DIR") or HERE)
    elsewhere = profile or (data_dir is None and os.environ.get("ENOPAX_PROFILE"))
    try:
        found = find(profile, data_dir)
        with Client(found.url, found.key) as client:
            yield from client.download("POST", "/v1/admin/backup")
            return
    except Unreachable:
        if elsewhere or not named.is_dir():
            raise
    yield from _at_rest(named.absolute())


def _at_rest(data_dir: Path) -> Iterator[bytes]:
    from anyio.from_thread import start_blocking_portal

    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_core(data_dir, data_dir).backup_at_rest()) as made,
    ):
        yield from made.packed()


def _core(settings_in: Path, data_dir: Path) -> Core:
    """The installed plugins on a directory, by the settings that lie in a folder."""
    from enopax_core.cli.serve import serve_settings
    from enopax_core.core.core import Core

    settings = serve_settings({"data_dir": settings_in}, os.environ, Path.cwd())
    return Core(settings.model_copy(update={"data_dir": data_dir.absolute()}))
