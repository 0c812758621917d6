"""`enopax apply` and `enopax export`: a project as a file."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import click

from enopax_core.cli.output import changed, confirm
from enopax_core.cli.plan import SIGNS, Declared, Step, Wanted, changing, compared, counted, declared, exported, is_gone
from enopax_core.cli.session import Session, connected
from enopax_core.cli.source import SOURCE, read
from enopax_core.client import providers, resources
from enopax_core.errors import (
    Cancelled,
    EnopaxError,
    Fault,
    Invalid,
    PermanentError,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    Unreachable,
)

NOT_THE_FILE = (Unauthenticated, Unavailable, Unreachable, TooManyRequests)
"""Errors that say nothing of the one resource that was asked about."""


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
    steps = _steps(session, file, place, prune=prune)
    _show(session, steps)
    waiting = [step for step in steps if step.action != "unchanged"]
    if dry_run or not waiting:
        return
    if not yes:
        confirm(f"Apply this to {place[0]} / {place[1]}?")
    _carry_out(session, waiting)


@click.command()
@connected
def export(session: Session) -> None:
    """Write a project as a file for `enopax apply`; secrets are left out."""
    import yaml

    organisation, project = session.place()
    items = [
        exported(provider.endpoint, session.client.send(resources.show(provider.endpoint, found.id)))
        for provider in session.client.send(providers.everything())
        for found in session.resources(provider.endpoint, (organisation, project))
        if not is_gone(found)
    ]
    content = {"organisation": organisation, "project": project, "resources": items}
    if session.output.json:
        session.output.value(content)
    else:
        click.echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), nl=False)


def _steps(session: Session, file: Declared, place: tuple[str, str], *, prune: bool) -> list[Step]:
    """What would be done, previewed by the server. Raises Invalid with everything that it would refuse, before any change."""
    _refuse_unknown(session, file)
    plan = compared(file, [(one, found) for one in sorted(file.endpoints) for found in session.resources(one, place)])
    steps: list[Step] = []
    faults: list[Fault] = []
    for one, id in [*((one, None) for one in plan.new), *((one, found.id) for one, found in plan.known)]:
        try:
            steps.append(_creating(session, one, place) if id is None else _comparing(session, one, id))
        except NOT_THE_FILE:
            raise
        except EnopaxError as error:
            faults += one.faults(error)
    if faults:
        raise Invalid("The file cannot be applied; nothing was changed.", faults=faults)
    extra = plan.extra if prune else ()
    return [*steps, *(Step(action="delete", endpoint=one, name=found.name, id=found.id) for one, found in extra)]


def _refuse_unknown(session: Session, file: Declared) -> None:
    known = [provider.endpoint for provider in session.client.send(providers.everything())]
    faults = []
    for one in file.resources:
        if one.endpoint not in known:
            near = get_close_matches(one.endpoint, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
            faults.append(Fault(f"{one.at}/endpoint", f"There is no provider {one.endpoint}; {hint}"))
    if faults:
        raise Invalid("The file cannot be applied; nothing was changed.", faults=faults)


def _creating(session: Session, one: Wanted, place: tuple[str, str]) -> Step:
    body = {**one.fields, "name": one.name, "organisationName": place[0], "projectName": place[1]}
    preview = session.client.send(resources.preview_provision(one.endpoint, body))
    price = "{amount} {currency} per {per}".format(**preview.price) if preview.price else ""
    return Step(action="create", endpoint=one.endpoint, name=one.name, body=body, reason=price)


def _comparing(session: Session, one: Wanted, id: str) -> Step:
    found = session.client.send(resources.show(one.endpoint, id))
    changes = session.client.send(resources.preview_update(one.endpoint, id, one.fields)) if one.fields else ()
    return changing(one, found, changes)


def _show(session: Session, steps: Sequence[Step]) -> None:
    if session.output.json:
        session.output.value(
            [{"action": s.action, "endpoint": s.endpoint, "name": s.name, "id": s.id, "changes": s.changes} for s in steps]
        )
        return
    for step in steps:
        if step.action != "unchanged" or step.reason:
            click.echo(f"{SIGNS[step.action]} {step.endpoint} {step.name}{f' ({step.reason})' if step.reason else ''}")
        for change in step.changes:
            click.echo(f"  {changed(change)}")
    if all(step.action == "unchanged" for step in steps):
        click.echo("Everything is as the file says.")
    else:
        click.echo(f"{counted(steps)}.")


def _carry_out(session: Session, steps: Sequence[Step]) -> None:
    """Have everything accepted first, so that the server works on all at once; then follow each. Raises once all have ended."""
    failed: list[tuple[Step, EnopaxError]] = []
    begun: list[tuple[Step, str]] = []
    for step in steps:
        try:
            operation = _begin(session, step)
        except NOT_THE_FILE:
            raise
        except EnopaxError as error:
            failed.append((step, error))
        else:
            begun += [(step, operation)] if operation else []
    for step, operation in begun:
        session.output.say(f"{step.action} {step.endpoint} {step.name}")
        try:
            session.output.follow(session.client, operation)
        except (PermanentError, Cancelled) as error:
            failed.append((step, error))
    if failed:
        faults = [Fault(f"{step.endpoint} {step.name}", error.message) for step, error in failed]
        raise PermanentError(
            f"{len(failed)} of {len(steps)} changes did not succeed; apply the file again to go on.", faults=faults
        )


def _begin(session: Session, step: Step) -> str | None:
    """The operation that was accepted, if there is something left to follow."""
    client, id, body = session.client, step.id or "", step.body or {}
    if step.action == "create":
        return client.send(resources.provision(step.endpoint, body, wait=0)).operation
    if step.action == "update":
        return client.send(resources.update(step.endpoint, id, body, wait=0, etag=step.etag)).operation
    return client.send(resources.delete(step.endpoint, id, wait=0)).operation
