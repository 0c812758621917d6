"""Commands that take resources away and bring them back, and those for their secrets."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import click

from enopax_core.cli.clients import program_for
from enopax_core.cli.complete import ENDPOINT, RESOURCE
from enopax_core.cli.output import confirm
from enopax_core.cli.session import Session, connected
from enopax_core.client import resources
from enopax_core.errors import NotReady


@click.command()
@ENDPOINT
@RESOURCE
@click.option("--purge", is_flag=True, help="Free everything for good, also what is kept after deletion.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@connected
def delete(session: Session, endpoint: str, resource: str, purge: bool, yes: bool) -> None:
    """Delete a resource; asks first and names it."""
    found = session.resource(endpoint, resource)
    if not yes:
        confirm(f"Delete {endpoint} {found.name} ({found.id}){' for good' if purge else ''}?")
    gone = session.client.send(resources.delete(endpoint, found.id, purge=purge, wait=0))
    if gone.operation is not None:
        session.output.follow(session.client, gone.operation)
    if not purge:
        gone = session.client.send(resources.delete(endpoint, found.id))  # repeated, it says what became of the data
    session.output.fields({"id": found.id, "message": "Gone for good." if purge else gone.message})


@click.command()
@ENDPOINT
@RESOURCE
@connected
def restore(session: Session, endpoint: str, resource: str) -> None:
    """Bring a deleted resource back; `enopax list --status deleted` shows which there are."""
    found = session.resource(endpoint, resource, status="deleted")
    restored = session.client.send(resources.restore(endpoint, found.id, wait=0))
    if restored.operation is not None:
        session.output.follow(session.client, restored.operation)
    back = session.client.send(resources.show(endpoint, found.id))
    session.output.fields({"id": back.id, "name": back.name, "status": back.status, "access": back.access or ""})


@click.command()
@ENDPOINT
@RESOURCE
@click.option("--format", "form", type=click.Choice(["env", "json", "uri"]), default="env", help="How. [env]")
@click.option("--rotate", is_flag=True, help="Issue new ones first; the old ones stop working.")
@connected
def credentials(session: Session, endpoint: str, resource: str, form: str, rotate: bool) -> None:
    """Print a resource's secrets; the reading is audited."""
    found = session.resource(endpoint, resource)
    if rotate:
        rotated = session.client.send(resources.rotate(endpoint, found.id, wait=0))
        if rotated.operation is not None:
            session.output.follow(session.client, rotated.operation)
    secrets = session.client.send(resources.credentials(endpoint, found.id))
    if form == "json" or session.output.json:
        session.output.value(secrets)
    elif form == "env":
        for name, value in secrets.items():
            click.echo(f"{name.upper()}={shlex.quote(str(value))}")
    else:
        click.echo(address(found.connection, found.access, secrets))


@click.command(context_settings={"ignore_unknown_options": True})
@ENDPOINT
@RESOURCE
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@connected
def connect(session: Session, endpoint: str, resource: str, arguments: tuple[str, ...]) -> None:
    """Start the right client: git clone for a repository, psql for a database. ARGUMENTS go to it."""
    found = session.resource(endpoint, resource)

    def secrets() -> Mapping[str, Any]:
        return session.client.send(resources.credentials(endpoint, found.id))

    program = program_for(found, arguments, secrets, os.environ)
    if program is None:
        raise NotReady(f"{found.name} has no address that a known client could open: see enopax show {endpoint} {found.id}.")
    try:
        program.replace_this_process()
    except FileNotFoundError:
        raise NotReady(f"{program.command[0]} is not installed: install it and try again.") from None


def address(connection: Mapping[str, str], access: str | None, secrets: Mapping[str, Any]) -> str:
    """An address with user name and secret in it, as clients take them. Raises NotReady where there is none to put them in."""
    if "url" in secrets:
        return str(secrets["url"])
    base = connection.get("http") or access or ""
    scheme, separator, rest = base.partition("://")
    if not separator:
        raise NotReady(f"{base or 'The resource'} is no address that could hold a secret: use --format env or json.")
    user, secret = (quote(str(secrets.get(name) or ""), safe="") for name in ("username", _secret(secrets)))
    return f"{scheme}://{user}:{secret}@{rest.rpartition('@')[2]}"


def _secret(secrets: Mapping[str, Any]) -> str:
    return "password" if "password" in secrets else "token"
