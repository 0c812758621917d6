"""`enopax recover-owner-key`: in again, where no key is known that works."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path, exists=True), default="data", help="The installation. [data]")
def command(data_dir: Path) -> None:
    """Make another owner's key and write it to owner.key. The server must be stopped; other keys stay as they are."""
    import asyncio

    from enopax_core.core.recovery import recover_owner_key

    click.echo(f"A new owner's key is in {asyncio.run(recover_owner_key(data_dir))}.")
