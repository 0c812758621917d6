"""Organisations and projects: they come into being with the first resource (or key) that names them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

from enopax_core.builtin.slugs import free, slug
from enopax_core.clock import rfc3339
from enopax_core.errors import PlaceTaken
from enopax_core.events.recorder import new_id
from enopax_core.hooks import Change, Host
from enopax_core.ledger.interface import Row, Transaction, UniqueViolation
from enopax_core.provider.spec import hookimpl
from enopax_core.records.place import Place


@hookimpl
async def enopax_resolve(host: Host, organisation: str, project: str | None, by: Literal["name", "slug"]) -> Place | None:
    """A place by its names, new ones included; by its slugs only what exists."""
    return await host.ledger.read(partial(_resolve, organisation=organisation, project=project, by=by))


@hookimpl
async def enopax_places(host: Host, projects: Sequence[str]) -> Mapping[str, Place]:
    """Names of projects, for showing them."""
    rows = await host.ledger.read(lambda t: t.execute("builtin.name_projects", projects=json.dumps(list(projects))))
    return {row["project_id"]: _place(row) for row in rows}


@hookimpl
def enopax_accept(change: Change, transaction: Transaction) -> None:
    """Store a new place with the change that names it. Raises PlaceTaken when somebody was faster."""
    place = change.place
    if not place.new:
        return
    now = rfc3339(transaction.now)
    try:
        found = transaction.execute("builtin.get_organisation", name=place.organisation)
        if not found:
            transaction.execute(
                "builtin.add_organisation",
                id=place.organisation_id,
                name=place.organisation,
                slug=place.organisation_slug,
                created_at=now,
            )
        elif found[0]["id"] != place.organisation_id:
            raise PlaceTaken
        if place.project_id:
            transaction.execute(
                "builtin.add_project",
                id=place.project_id,
                organisation=place.organisation_id,
                name=place.project,
                slug=place.project_slug,
                created_at=now,
            )
    except UniqueViolation as error:
        raise PlaceTaken from error


def _resolve(transaction: Transaction, organisation: str, project: str | None, by: str) -> Place | None:
    rows = transaction.execute("builtin.find_project", organisation=organisation, project=project or "", by=by)
    if rows and (rows[0]["project_id"] is not None or project is None):
        return _place(rows[0])
    if by == "slug":
        return None
    if rows:
        owner = Place(
            organisation_id=rows[0]["organisation_id"],
            organisation=rows[0]["organisation"],
            organisation_slug=rows[0]["organisation_slug"],
            new=True,
        )
    else:
        wanted = slug(organisation, "org")
        near = transaction.execute("builtin.slugs_like_organisation", slug=wanted, pattern=f"{wanted}-*")
        owner = Place(
            organisation_id=new_id("org"),
            organisation=organisation,
            organisation_slug=free(wanted, {row["slug"] for row in near}),
            new=True,
        )
    if project is None:
        return owner
    wanted = slug(project, "project")
    near = transaction.execute(
        "builtin.slugs_like_project", organisation=owner.organisation_id, slug=wanted, pattern=f"{wanted}-*"
    )
    return Place(
        organisation_id=owner.organisation_id,
        organisation=owner.organisation,
        organisation_slug=owner.organisation_slug,
        project_id=new_id("prj"),
        project=project,
        project_slug=free(wanted, {row["slug"] for row in near}),
        new=True,
    )


def _place(row: Row) -> Place:
    return Place(
        organisation_id=row["organisation_id"],
        organisation=row["organisation"],
        organisation_slug=row["organisation_slug"],
        project_id=row["project_id"] or "",
        project=row["project"] or "",
        project_slug=row["project_slug"] or "",
    )
