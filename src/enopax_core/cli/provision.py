"""`enopax provision` and `enopax update`: their options are drawn from the schemas of the server's providers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from enopax_core.cli.by_provider import ByProvider, left_on
from enopax_core.cli.complete import names
from enopax_core.cli.fields import body_of, keys_of, options_of
from enopax_core.cli.output import confirm
from enopax_core.cli.session import Session, connected
from enopax_core.cli.source import SOURCE, read
from enopax_core.client import Preview, Provider, Resource, resources

COMMON = (
    click.Option(["--ssh-key", "ssh_keys"], multiple=True, help="A public key that may reach it: a file, or the key itself."),
    click.Option(["--from", "source"], type=SOURCE, help="A YAML or JSON file with fields; - is standard input."),
    click.Option(["--dry-run"], is_flag=True, help="Show what would happen and change nothing."),
    click.Option(["--no-wait"], is_flag=True, help="Return as soon as it is accepted."),
)


def _provision(provider: Provider) -> click.Command:
    schema = provider.schemas.provision

    @connected
    def run(session: Session, *, name: str, plan: str | None, dry_run: bool, no_wait: bool, **given: Any) -> None:
        organisation, project = session.place()
        place = {"name": name, "organisationName": organisation, "projectName": project}
        body = {**_body(schema, given), **place, **({"plan": plan} if plan else {})}
        if dry_run:
            _show(session, session.client.send(resources.preview_provision(provider.endpoint, body)))
            return
        made = session.client.send(resources.provision(provider.endpoint, body, wait=0))
        session.output.fields(shown(_finished(session, provider.endpoint, made, no_wait)))

    plans = click.Choice([plan.id for plan in provider.plans]) if provider.plans else click.STRING
    parameters = [
        click.Argument(["name"]),
        click.Option(["--plan"], type=plans, help="The offer. [the first]"),
        *options_of(schema),
        *COMMON,
    ]
    return click.Command(provider.endpoint, callback=run, params=[*parameters, *left_on(run)], help=provider.description)


def _update(provider: Provider) -> click.Command | None:
    schema = provider.schemas.update
    if schema is None:
        return None

    @connected
    def run(
        session: Session,
        *,
        resource: str,
        name: str | None,
        plan: str | None,
        dry_run: bool,
        no_wait: bool,
        yes: bool,
        **given: Any,
    ) -> None:
        found = session.resource(provider.endpoint, resource)
        body = {**_body(schema, given), **({"name": name} if name else {}), **({"plan": plan} if plan else {})}
        changes = session.client.send(resources.preview_update(provider.endpoint, found.id, body))
        session.output.changes(changes, dry_run=dry_run)
        if dry_run or not changes:
            return
        if not yes:
            confirm(f"Change {provider.endpoint} {found.name} ({found.id})?")
        unseen = None if found.operation else found.etag  # what was shown is what is done, unless a change is under way anyway
        changed = session.client.send(resources.update(provider.endpoint, found.id, body, wait=0, etag=unseen))
        session.output.fields(shown(_finished(session, provider.endpoint, changed, no_wait)))

    plans = click.Choice([plan.id for plan in provider.plans]) if provider.plans else click.STRING
    parameters = [
        click.Argument(["resource"], shell_complete=names),
        click.Option(["--name"], help="A new name."),
        click.Option(["--plan"], type=plans, help="Another offer."),
        *options_of(schema, defaults=False),
        *COMMON,
        click.Option(["--yes"], is_flag=True, help="Do not ask."),
    ]
    return click.Command(provider.endpoint, callback=run, params=[*parameters, *left_on(run)], help=provider.description)


def _finished(session: Session, endpoint: str, accepted: Resource, no_wait: bool) -> Resource:
    """The resource once its operation has ended. Raises PermanentError, Cancelled where it did not succeed."""
    if accepted.operation is None or no_wait:
        return accepted
    session.output.follow(session.client, accepted.operation)
    return session.client.send(resources.show(endpoint, accepted.id))


def _body(schema: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    body = read(given["source"]) if given.get("source") else {}
    body |= body_of(schema, given)
    if given.get("ssh_keys"):
        body["sshKeys"] = keys_of(given["ssh_keys"])
    return body


def _show(session: Session, preview: Preview) -> None:
    if session.output.json:
        session.output.value(preview)
        return
    for one in preview.actions:
        click.echo(f"{one.action} {one.what} {one.detail}".rstrip())
    price = preview.price
    session.output.fields(
        {"config": preview.config, **({"price": "{amount} {currency} per {per}".format(**price)} if price else {})}
    )


def shown(resource: Resource) -> dict[str, Any]:
    """What a person wants to see of a resource first, and a program gets too."""
    names = ("id", "name", "status", "message", "plan", "access", "connection", "config", "operation")
    whole: dict[str, Any] = resource.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {name: whole[name] for name in names if whole.get(name) not in (None, "", {})}


provision = ByProvider("provision", _provision, help="Provision a resource: enopax provision ENDPOINT NAME.")
update = ByProvider("update", _update, help="Change a resource; shows the difference and asks first.")
