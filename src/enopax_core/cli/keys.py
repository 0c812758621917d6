"""`enopax keys`: API keys."""

from __future__ import annotations

import click

from enopax_core.cli.output import confirm
from enopax_core.cli.session import Session, connected
from enopax_core.client import keys


@click.group("keys")
def group() -> None:
    """Make, list, rotate and revoke API keys."""


@group.command()
@click.argument("name")
@click.option("--role", type=click.Choice(["member", "manager", "admin", "owner"]), default="member", help="Role. [member]")
@click.option("--permission", "permissions", multiple=True, help="Only this of what the role holds; may be repeated.")
@click.option("--all-projects", is_flag=True, help="For the whole organisation.")
@click.option("--installation", is_flag=True, help="For all organisations; an installation's own key alone can make such.")
@click.option("--expires-at", help="When it ends, such as 2030-01-31T00:00:00Z.")
@connected
def create(
    session: Session,
    name: str,
    role: str,
    permissions: tuple[str, ...],
    all_projects: bool,
    installation: bool,
    expires_at: str | None,
) -> None:
    """Make a key for a project; its secret is shown once."""
    organisation, project = (None, None) if installation else session.place()
    made = session.client.send(
        keys.create(
            name,
            role,
            organisation=organisation,
            project=None if all_projects else project,
            permissions=permissions or None,
            expires_at=expires_at,
        )
    )
    session.output.fields(made)


@group.command("list")
@connected
def list_(session: Session) -> None:
    """List the keys within your own scope."""
    found = session.everything(lambda token: keys.page(token=token))
    session.output.rows(found, ("id", "name", "role", "organisation", "project", "preview", "expiresAt"))


@group.command()
@click.argument("id")
@connected
def rotate(session: Session, id: str) -> None:
    """Give a key a new secret; the old one is void at once."""
    session.output.fields(session.client.send(keys.rotate(id)))


@group.command()
@click.argument("id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@connected
def revoke(session: Session, id: str, yes: bool) -> None:
    """Make a key void."""
    if not yes:
        confirm(f"Revoke the key {id}?")
    session.client.send(keys.revoke(id))
    session.output.fields({"id": id, "message": "Revoked."})
