"""`enopax apply` and `enopax export`: a project as a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from enopax_core.cli.plan import Declared, Wanted, compared, declared, exported
from enopax_core.cli.provision import SOURCE, read
from enopax_core.cli.session import Session, connected
from enopax_core.client import Change, Resource, providers, resources


@dataclass(frozen=True, kw_only=True)
class Step:
    """One line of the preview, and what it would do."""

    action: str  # create, update, delete
    endpoint: str
    name: str
    id: str | None = None
    body: Mapping[str, Any] | None = None
    changes: Sequence[Change] = ()


@click.command()
@click.option("-f", "--file", "source", type=SOURCE, required=True, help="A YAML or JSON file; - is standard input.")
@click.option("--prune", is_flag=True, help="Delete what the file does not name, of the endpoints that it speaks of.")
@click.option("--dry-run", is_flag=True, help="Show what would happen and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@connected
def apply(session: Session, source: Path, prune: bool, dry_run: bool, yes: bool) -> None:
    """Bring a project to what a file says; shows first what would change."""
    file = declared(read(source))
    place = (file.organisation or session.place()[0], file.project or session.project)
    steps = list(_steps(session, file, place, prune=prune))
    if session.output.json:
        session.output.value([{"action": s.action, "endpoint": s.endpoint, "name": s.name, "changes": s.changes} for s in steps])
    else:
        _show(steps)
    if dry_run or not steps:
        return
    if not yes:
        click.confirm(f"Apply {len(steps)} changes to {place[0]} / {place[1]}?", abort=True, err=True)
    for step in steps:
        session.output.say(f"{step.action} {step.endpoint} {step.name}")
        operation = _carry_out(session, step)
        if operation:
            session.output.follow(session.client, operation)


@click.command()
@connected
def export(session: Session) -> None:
    """Write a project as a file for `enopax apply`; secrets are left out."""
    import yaml

    organisation, project = session.place()
    items = []
    for provider in session.client.send(providers.everything()):
        properties = provider.schemas.provision.get("properties", {})
        secrets = [name for name, field in properties.items() if field.get("writeOnly")]
        for found in _all(session, provider.endpoint, (organisation, project)):
            whole = session.client.send(resources.show(provider.endpoint, found.id))
            items.append(exported(provider.endpoint, whole, secrets))
    content = {"organisation": organisation, "project": project, "resources": items}
    if session.output.json:
        session.output.value(content)
    else:
        click.echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), nl=False)


def _steps(session: Session, file: Declared, place: tuple[str, str], *, prune: bool) -> Iterator[Step]:
    existing = [(endpoint, found) for endpoint in sorted(file.endpoints) for found in _all(session, endpoint, place)]
    plan = compared(file, existing)
    for one in plan.new:
        body = {**one.fields, "name": one.name, "organisationName": place[0], "projectName": place[1]}
        session.client.send(resources.preview_provision(one.endpoint, body))  # refused now rather than half-way
        yield Step(action="create", endpoint=one.endpoint, name=one.name, body=body)
    for one, found in plan.known:
        changes = _changes(session, one, found)
        if changes:
            yield Step(action="update", endpoint=one.endpoint, name=one.name, id=found.id, body=one.fields, changes=changes)
    if prune:
        for endpoint, found in plan.extra:
            yield Step(action="delete", endpoint=endpoint, name=found.name, id=found.id)


def _changes(session: Session, one: Wanted, found: Resource) -> Sequence[Change]:
    return session.client.send(resources.preview_update(one.endpoint, found.id, one.fields)) if one.fields else ()


def _all(session: Session, endpoint: str, place: tuple[str, str]) -> list[Resource]:
    return list(session.everything(lambda token: resources.page(endpoint, *place, token=token, size=1000)))


def _show(steps: Sequence[Step]) -> None:
    if not steps:
        click.echo("Everything is as the file says.")
    for step in steps:
        sign = {"create": "+", "update": "~", "delete": "-"}[step.action]
        click.echo(f"{sign} {step.endpoint} {step.name}")
        for change in step.changes:
            click.echo(f"    {change.pointer}: {change.old!r} → {change.new!r} ({change.effect})")


def _carry_out(session: Session, step: Step) -> str | None:
    client = session.client
    if step.action == "create":
        return client.send(resources.provision(step.endpoint, step.body or {}, wait=0)).operation
    if step.action == "update":
        return client.send(resources.update(step.endpoint, step.id or "", step.body or {}, wait=0)).operation
    return client.send(resources.delete(step.endpoint, step.id or "", wait=0)).operation
