"""`enopax doctor`: what is wrong with an installation, and the command that mends it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from enopax_core.cli.output import Output
from enopax_core.cli.servers import HERE, find
from enopax_core.client import Ask, Client, Patience
from enopax_core.errors import Unauthenticated, Unreachable

Findings = Sequence[Mapping[str, Any]]


@click.command("doctor")
@click.option("--profile", help="A server that you have signed in to with `enopax login`.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="A local installation. [data]")
@click.option("--fix", is_flag=True, help="Mend what is safe to mend.")
@click.option("--output", type=click.Choice(["table", "json"]), default="table", help="For people or for programs. [table]")
def command(profile: str | None, data_dir: Path | None, fix: bool, output: str) -> None:
    """Examine an installation, while the server runs or while it is stopped. Exits with 1 where an error was found."""
    found = _examined(profile, data_dir, fix=fix)
    shown = Output(json=output == "json")
    shown.rows(found, ("severity", "check", "message", "remedy"))
    if any(one["severity"] == "error" for one in found):
        raise click.exceptions.Exit(1)


def _examined(profile: str | None, data_dir: Path | None, *, fix: bool) -> Findings:
    named = data_dir or Path(os.environ.get("ENOPAX_DATA_DIR") or HERE)
    elsewhere = profile or (data_dir is None and os.environ.get("ENOPAX_PROFILE"))
    ask: Ask[Findings] = Ask(method="POST" if fix else "GET", path="/v1/admin/doctor", read=lambda reply: reply.body["findings"])
    try:
        found = find(profile, data_dir)
        with Client(found.url, found.key, patience=Patience(tries=1)) as client:  # one that hangs is not asked again and again
            return client.send(ask)
    except (Unreachable, Unauthenticated):  # stopped, or it cannot be asked: then the files are looked at
        if elsewhere or not named.is_dir():
            raise
    return _at_rest(named.absolute(), fix=fix)


def _at_rest(data_dir: Path, *, fix: bool) -> Findings:
    import anyio

    from enopax_core.cli.serve import serve_settings
    from enopax_core.core.core import Core

    core = Core(serve_settings({"data_dir": data_dir}, os.environ, Path.cwd()))
    return [one.to_json() for one in anyio.run(partial(core.examine_at_rest, fix=fix))]
