"""`enopax operations`: list, watch, cancel, retry; and `enopax events`."""

from __future__ import annotations

import json

import click

from enopax_core.cli.output import plain
from enopax_core.cli.session import Session, connected
from enopax_core.client import operations


@click.group("operations")
def group() -> None:
    """Look at durable changes, follow, cancel and retry them."""


@group.command("list")
@connected
def list_(session: Session) -> None:
    """List a project's operations."""
    organisation, project = session.place()
    found = session.everything(lambda token: operations.page(organisation, project, token=token, size=1000))
    session.output.rows(found, ("id", "type", "state", "endpoint", "resource", "createdAt"))


@group.command()
@click.argument("operation")
@connected
def watch(session: Session, operation: str) -> None:
    """Follow an operation to its end."""
    session.output.fields(session.output.follow(session.client, operation))


@group.command()
@click.argument("operation")
@connected
def cancel(session: Session, operation: str) -> None:
    """Cancel an operation."""
    session.output.fields(session.client.send(operations.cancel(operation)))


@group.command()
@click.argument("operation")
@connected
def retry(session: Session, operation: str) -> None:
    """Try a failed operation again, and follow it."""
    session.client.send(operations.retry(operation))
    session.output.fields(session.output.follow(session.client, operation))


@click.command()
@click.option("--after", type=int, help="Position to begin behind; 0: the oldest that is kept.")
@connected
def events(session: Session, after: int | None) -> None:
    """Follow a project, one JSON object a line."""
    organisation, project = session.place()
    for event in session.client.events("/v1/events", params={"org": organisation, "project": project}, after=after):
        click.echo(json.dumps(plain(event), ensure_ascii=False))
