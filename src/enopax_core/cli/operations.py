"""`enopax operations`: list, watch, cancel, retry; and `enopax events`."""

from __future__ import annotations

import click

from enopax_core.cli.session import Session, connected
from enopax_core.client import Event, operations


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
    """Follow a project until Ctrl-C; with --output json, each event is a line of JSON."""
    organisation, project = session.place()
    for event in session.client.events("/v1/events", params={"org": organisation, "project": project}, after=after):
        session.output.line(event, told(event))


def told(event: Event) -> str:
    """An event as a line for people."""
    when = "" if event.time is None else f"{event.time:%Y-%m-%d %H:%M:%S} "
    progress = event.data.get("progress") or {}
    said = " ".join(str(progress.get(name, "")) for name in ("stage", "message")) if event.type.endswith(".progress") else ""
    what = " ".join(str(event.data.get(name, "")) for name in ("endpoint", "type"))
    return f"{when}{event.position} {event.type.removeprefix('eu.enopax.')} {event.subject or ''} {what} {said}".rstrip()
