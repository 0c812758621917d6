"""`enopax audit`: who did what; whether the log is what was written; a copy of it to keep elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from enopax_core.cli.output import Output, plain
from enopax_core.cli.session import Session, connected
from enopax_core.client import audit
from enopax_core.errors import Malformed

BROKEN = 1


@click.group("audit")
def group() -> None:
    """Show, verify and export who did what."""


@group.command("list")
@click.option("--action", help="Only this action, such as delete or key.create.")
@click.option("--principal", help="Only what this key or user did.")
@click.option("--resource", help="Only what was done to this resource, named by its id.")
@click.option("--since", help="Only from then on, such as 2030-01-31T00:00:00Z.")
@connected
def list_(session: Session, action: str | None, principal: str | None, resource: str | None, since: str | None) -> None:
    """Show who did what in a project."""
    organisation, project = session.place()
    wanted = {"action": action, "principal": principal, "resource": resource, "since": since}
    found = session.everything(lambda token: audit.page(organisation, project, token=token, **wanted))
    session.output.rows(found, ("at", "principal", "action", "resource"))


@group.command()
@click.option("--anchor", help="POSITION:HASH of an entry, as an earlier verification printed it.")
@connected
def verify(session: Session, anchor: str | None) -> None:
    """Find what was changed in the installation's log, cut out, put in or cut off.

    Keep the anchor that it prints elsewhere, and give it the next time: a log that was written anew as a whole, or cut off
    at its end together with its count, is found by that alone. Exits with 1 where something is broken.
    """
    tell(session.output, plain(session.client.send(audit.verify(anchor=anchor))))


@group.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--after", type=int, default=0, help="Position of the last entry that you have. [0]")
@connected
def export(session: Session, file: Path | None, after: int) -> None:
    """Write the installation's log as JSON lines, to a file or to standard output."""
    pieces = session.client.download("GET", "/v1/admin/audit", params={"after": str(after)})
    if file is None:
        for piece in pieces:
            click.echo(piece, nl=False)
        return
    from enopax_core.cli.partial import written_whole

    size = written_whole(file, pieces)
    session.output.fields({"file": str(file), "bytes": size})


@group.command("verify-export")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--output", type=click.Choice(["table", "json"]), default="table", help="For people or for programs. [table]")
def verify_export(file: Any, output: str) -> None:
    """Verify an exported file by itself; asks no server. It must begin with the first entry."""
    from enopax_core.events.audit import Verification
    from enopax_core.records.audit import AuditEntry

    verification = Verification()
    for number, line in enumerate(file, 1):
        try:
            verification.take([AuditEntry.from_json(json.loads(line))])
        except (ValueError, KeyError, TypeError) as error:
            raise Malformed(f"Line {number} is no entry of an audit log.") from error
    verification.finish(None)
    tell(Output(json=output == "json"), verification.to_json())


def tell(output: Output, found: Mapping[str, Any]) -> None:
    """What came of it; exits with 1 where something is broken."""
    output.fields({name: value for name, value in found.items() if name not in ("success", "breaks") or output.json})
    if not output.json:
        for one in found["breaks"]:
            output.say(str(one["message"]))
    if not found["intact"]:
        raise click.exceptions.Exit(BROKEN)
