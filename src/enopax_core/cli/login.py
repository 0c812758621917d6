"""`enopax login`: keep a server's address and a key under a name."""

from __future__ import annotations

import contextlib
import os
import sys

import click

from enopax_core.cli.profiles import DEFAULT, Profile, file_of, save
from enopax_core.client import Client, keys
from enopax_core.errors import Forbidden


@click.command("login")
@click.argument("url")
@click.option("--profile", default=DEFAULT, help=f"Name to keep it under. [{DEFAULT}]")
@click.option("--org", help="Organisation that is meant when a command names none.")
@click.option("--project", help="Project that is meant when a command names none.")
def command(url: str, profile: str, org: str | None, project: str | None) -> None:
    """Sign in to a server elsewhere; use it with --profile or ENOPAX_PROFILE.

    The API key is taken from ENOPAX_KEY, else asked for, else read from standard input: on a command line others could see it.
    """
    key = os.environ.get("ENOPAX_KEY") or (
        click.prompt("API key", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline().strip()
    )
    with Client(url, key) as client, contextlib.suppress(Forbidden):  # the key is valid and may not list keys, which is fine
        client.send(keys.page())
    path = file_of(os.environ)
    save(path, profile, Profile(url=url.rstrip("/"), key=key, organisation=org, project=project))
    click.echo(f"Signed in. Kept as {profile} in {path}.")
