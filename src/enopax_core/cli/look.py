"""Commands that change nothing: providers, list, show, metrics, logs."""

from __future__ import annotations

from typing import Any

import click

from enopax_core.cli.complete import ENDPOINT, RESOURCE, endpoints
from enopax_core.cli.output import plain
from enopax_core.cli.session import Session, connected
from enopax_core.client import Resource, resources
from enopax_core.client import providers as discovery


@click.command()
@connected
def providers(session: Session) -> None:
    """List what can be provisioned."""
    found = session.client.send(discovery.everything())
    if session.output.json:
        session.output.value(found)
        return
    rows = [
        {"endpoint": p.endpoint, "plans": ", ".join(plan.id for plan in p.plans), "description": p.description} for p in found
    ]
    session.output.rows(rows, ("endpoint", "plans", "description"))


@click.command("list")
@click.argument("endpoint", required=False, shell_complete=endpoints)
@click.option("--status", help="Only those of a status; `deleted` shows what can be restored.")
@connected
def list_(session: Session, endpoint: str | None, status: str | None) -> None:
    """List a project's resources, of one endpoint or of all."""
    organisation, project = session.place()
    known = [provider.endpoint for provider in session.client.send(discovery.everything())]
    if endpoint is not None and endpoint not in known:
        raise click.UsageError(f"There is no provider {endpoint}; there are: {', '.join(known)}.")
    found = [
        {"endpoint": one, **summary(resource)}
        for one in known
        if endpoint in (None, one)
        for resource in session.resources(one, (organisation, project), status=status)
    ]
    session.output.rows(found, ("endpoint", "name", "status", "access", "id"))


@click.command()
@ENDPOINT
@RESOURCE
@connected
def show(session: Session, endpoint: str, resource: str) -> None:
    """Show a resource, named by its id or its name."""
    session.output.fields(session.resource(endpoint, resource))


@click.command()
@ENDPOINT
@RESOURCE
@connected
def metrics(session: Session, endpoint: str, resource: str) -> None:
    """Measure a resource now."""
    found = session.client.send(resources.metrics(endpoint, session.resource(endpoint, resource).id))
    session.output.rows([{"name": name, **plain(metric)} for name, metric in found.items()], ("name", "value", "unit", "help"))


@click.command()
@ENDPOINT
@RESOURCE
@click.option("--follow", is_flag=True, help="Go on with new lines until Ctrl-C; with --output json, each is a line of JSON.")
@connected
def logs(session: Session, endpoint: str, resource: str, follow: bool) -> None:
    """Show the latest lines of a resource's log."""
    id = session.resource(endpoint, resource).id
    if not follow:
        lines = session.client.send(resources.logs(endpoint, id))
        session.output.rows(lines, ("time", "level", "message"))
        return
    for line in session.client.logs(endpoint, id):
        session.output.line(line, f"{line.time:%Y-%m-%d %H:%M:%S} {line.level} {line.message}")


def summary(resource: Resource) -> dict[str, Any]:
    """A resource as a list has it: what only its own page shows is left out rather than empty."""
    found: dict[str, Any] = resource.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    return found
