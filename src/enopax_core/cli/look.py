"""Commands that change nothing: providers, list, show, metrics, logs, audit."""

from __future__ import annotations

import click

from enopax_core.cli.output import plain
from enopax_core.cli.session import Session, connected
from enopax_core.client import audit as audits
from enopax_core.client import providers as discovery
from enopax_core.client import resources


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
@click.argument("endpoint", required=False)
@click.option("--status", help="Only those of a status; `deleted` shows what can be restored.")
@connected
def list_(session: Session, endpoint: str | None, status: str | None) -> None:
    """List a project's resources, of one endpoint or of all."""
    organisation, project = session.place()
    known = session.client.send(discovery.everything())
    found = []
    for provider in known:
        if endpoint in (None, provider.endpoint):
            name = provider.endpoint
            pages = session.everything(
                lambda token, name=name: resources.page(name, organisation, project, status=status, token=token, size=1000)  # type: ignore[misc]  # a lambda's default
            )
            found += [{"endpoint": name, **one.model_dump(mode="json", by_alias=True, exclude_none=True)} for one in pages]
    if endpoint is not None and endpoint not in {provider.endpoint for provider in known}:
        raise click.UsageError(f"There is no provider {endpoint}; see enopax providers.")
    session.output.rows(found, ("endpoint", "name", "status", "access", "id"))


@click.command()
@click.argument("endpoint")
@click.argument("resource")
@connected
def show(session: Session, endpoint: str, resource: str) -> None:
    """Show a resource, named by its id or its name."""
    session.output.fields(session.resource(endpoint, resource))


@click.command()
@click.argument("endpoint")
@click.argument("resource")
@connected
def metrics(session: Session, endpoint: str, resource: str) -> None:
    """Measure a resource now."""
    found = session.client.send(resources.metrics(endpoint, session.resource(endpoint, resource).id))
    session.output.rows([{"name": name, **plain(metric)} for name, metric in found.items()], ("name", "value", "unit", "help"))


@click.command()
@click.argument("endpoint")
@click.argument("resource")
@connected
def logs(session: Session, endpoint: str, resource: str) -> None:
    """Show the latest lines of a resource's log."""
    lines = session.client.send(resources.logs(endpoint, session.resource(endpoint, resource).id))
    session.output.rows(lines, ("time", "level", "message"))


@click.command()
@connected
def audit(session: Session) -> None:
    """Show who did what in a project."""
    organisation, project = session.place()
    entries, token = session.client.send(audits.page(organisation, project))
    found = list(entries)
    while token is not None:
        entries, token = session.client.send(audits.page(organisation, project, token=token))
        found += entries
    session.output.rows(found, ("at", "principal", "action", "resource"))
