"""`enopax provision` and `enopax update`: their options are drawn from the schemas of the server's providers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from enopax_core.cli.fields import body_of, keys_of, options_of
from enopax_core.cli.session import OPTIONS, Session, connected, find
from enopax_core.client import Client, Provider, providers, resources
from enopax_core.errors import EnopaxError, Malformed


class ByProvider(click.Group):
    """A command for each provider of the server that is meant, made when it is called."""

    def __init__(self, name: str, make: Callable[[Provider], click.Command | None], **more: Any) -> None:
        super().__init__(name, params=[_own(option) for option in OPTIONS[:2]], **more)
        self.make = make

    def _providers(self, ctx: click.Context) -> Mapping[str, Provider]:
        found = find(ctx.params.get("profile"), ctx.params.get("data_dir"))
        with Client(found.url) as client:
            return {provider.endpoint: provider for provider in client.send(providers.everything())}

    def list_commands(self, ctx: click.Context) -> list[str]:
        try:
            return sorted(self._providers(ctx))
        except EnopaxError:
            return []  # help is shown without a server too

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        provider = self._providers(ctx).get(cmd_name)
        return None if provider is None else self.make(provider)


def _own(option: Callable[[Callable[..., Any]], Callable[..., Any]]) -> click.Parameter:
    """An option as a value of its own: a decorator leaves it on what it decorates."""

    def nothing() -> None: ...

    made: click.Parameter = option(nothing).__click_params__[-1]  # type: ignore[attr-defined]  # click's own way of keeping them
    return made


SOURCE = click.Path(path_type=Path, exists=True, allow_dash=True)
COMMON = (
    click.Option(["--ssh-key", "ssh_keys"], multiple=True, help="A public key that may reach it: a file, or the key itself."),
    click.Option(["--from", "source"], type=SOURCE, help="A YAML or JSON file; - is standard input."),
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
            session.output.value(session.client.send(resources.preview_provision(provider.endpoint, body)))
            return
        made = session.client.send(resources.provision(provider.endpoint, body, wait=0))
        if made.operation is not None and not no_wait:
            session.output.follow(session.client, made.operation)
            made = session.client.send(resources.show(provider.endpoint, made.id))
        session.output.fields(shown(made))

    plans = click.Choice([plan.id for plan in provider.plans]) if provider.plans else click.STRING
    parameters = [
        click.Argument(["name"]),
        click.Option(["--plan"], type=plans, help="The offer."),
        *options_of(schema),
        *COMMON,
    ]
    return click.Command(provider.endpoint, callback=run, params=[*parameters, *_left(run)], help=provider.description)


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
        if not changes:
            session.output.say("Nothing would change.")
            return
        if not session.output.json or dry_run:
            session.output.rows(changes, ("pointer", "old", "new", "effect"))
        if dry_run:
            return
        if not yes:
            click.confirm(f"Change {found.name}?", abort=True, err=True)
        changed = session.client.send(resources.update(provider.endpoint, found.id, body, wait=0))
        if changed.operation is not None and not no_wait:
            session.output.follow(session.client, changed.operation)
            changed = session.client.send(resources.show(provider.endpoint, found.id))
        session.output.fields(shown(changed))

    parameters = [
        click.Argument(["resource"]),
        click.Option(["--name"], help="A new name."),
        click.Option(["--plan"], help="Another offer."),
        *options_of(schema),
        *COMMON,
        click.Option(["--yes"], is_flag=True, help="Do not ask."),
    ]
    return click.Command(provider.endpoint, callback=run, params=[*parameters, *_left(run)], help=provider.description)


def _left(function: Any) -> list[click.Parameter]:
    """The options that decorators have left on a function, in the order in which they stand."""
    found: list[click.Parameter] = function.__click_params__
    return found[::-1]


def _body(schema: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    body = read(given["source"]) if given.get("source") else {}
    body |= body_of(schema, given)
    if given.get("ssh_keys"):
        body["sshKeys"] = keys_of(given["ssh_keys"])
    return body


def read(source: Path) -> dict[str, Any]:
    """A YAML or JSON file (`-`: standard input) that holds one object. Raises Malformed."""
    import yaml

    text = sys.stdin.read() if str(source) == "-" else source.read_text("utf-8")
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Malformed(f"{source} is neither YAML nor JSON: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise Malformed(f"{source} must hold an object.")
    return found


def shown(resource: Any) -> dict[str, Any]:
    """What a person wants to see of a resource first."""
    names = ("id", "name", "status", "message", "plan", "access", "connection", "config")
    whole: dict[str, Any] = resource.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {name: whole[name] for name in names if whole.get(name) not in (None, "", {})}


provision = ByProvider("provision", _provision, help="Provision a resource: enopax provision ENDPOINT NAME.")
update = ByProvider("update", _update, help="Change a resource; shows the difference and asks first.")
