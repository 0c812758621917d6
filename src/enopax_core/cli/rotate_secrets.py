"""`enopax rotate-secrets`: a new key for everything sealed in a data directory."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path, exists=True), default="data", help="The installation. [data]")
def command(data_dir: Path) -> None:
    """Seal every stored secret under a new key and forget the old one. The server must be stopped."""
    import asyncio

    from enopax_core.core.reseal import rotate_secrets

    click.echo(f"Sealed {asyncio.run(rotate_secrets(data_dir))} resources under a new key.")
