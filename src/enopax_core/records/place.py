"""Where a resource lives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """An organisation and a project in it, resolved to opaque ids."""

    organisation_id: str
    organisation: str  # display name, compared exactly
    organisation_slug: str  # for addresses and ids
    project_id: str = ""  # empty: the organisation as a whole
    project: str = ""
    project_slug: str = ""
    new: bool = False  # not stored yet: comes into being with the change that names it


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What a permission is asked for: the installation (nothing set), an organisation, a project or one resource."""

    organisation: str | None = None  # opaque ids
    project: str | None = None
    resource: str | None = None
