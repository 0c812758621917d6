"""`enopax login`: keep a server's address and a key under a name."""

from __future__ import annotations

import contextlib
import os

import click

from enopax_core.cli.profiles import Profile, file_of, save
from enopax_core.client import Client, keys
from enopax_core.errors import Forbidden


@click.command("login")
@click.argument("url")
@click.option("--profile", default="default", help="Name to keep it under. [default]")
@click.option("--key", envvar="ENOPAX_KEY", help="API key; asked for when it is not given.")
def command(url: str, profile: str, key: str | None) -> None:
    """Sign in to a server elsewhere; use it with --profile or ENOPAX_PROFILE."""
    key = key or click.prompt("API key", hide_input=True, err=True)
    with Client(url, key) as client, contextlib.suppress(Forbidden):  # the key is valid and may not list keys, which is fine
        client.send(keys.page())
    path = file_of(os.environ)
    save(path, profile, Profile(url=url.rstrip("/"), key=key))
    click.echo(f"Signed in. Kept as {profile} in {path}.")
