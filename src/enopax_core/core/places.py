"""Names of places: resolved once at the edge, shown in answers."""

from __future__ import annotations

from enopax_core.core.recent import Recent
from enopax_core.errors import Forbidden
from enopax_core.governors import Governors
from enopax_core.records.place import Place, Target
from enopax_core.records.principal import Principal

SECONDS = 1.0
"""How long a name may be out of date after another server has renamed it."""


class Places:
    """Resolves names to places and ids back to names."""

    def __init__(self, governors: Governors) -> None:
        self._governors = governors
        self._by_name: Recent[tuple[str, str | None], Place] = Recent(SECONDS)
        self._by_id: Recent[str, Place] = Recent(SECONDS)

    async def resolve(self, organisation: str, project: str | None) -> Place | None:
        """The place of two display names; `new` where it does not exist yet, None where nobody knows it nor makes it."""
        place = self._by_name.get((organisation, project)) or await self._governors.resolve(organisation, project)
        if place is not None and not place.new:
            self._by_name.put((organisation, project), place)
        return place

    async def allowed(self, principal: Principal, organisation: str, project: str | None, permission: str) -> Place:
        """Resolve a place and ask for a permission in it. Raises Forbidden, the same for foreign and for unknown places."""
        place = await self.resolve(organisation, project)
        if place is not None:
            target = Target(organisation=place.organisation_id, project=place.project_id or None)
            if (await self._governors.authorise(principal, permission, [target]))[0]:
                return place
        where = "organisation" if project is None else "organisation and project"
        raise Forbidden(f"This credential lacks the permission {permission} in this {where}.")

    async def of(self, project: str) -> Place:
        """Names of a project by its id."""
        place = self._by_id.get(project)
        if place is None:
            found = await self._governors.places([project])
            place = found.get(project)
            if place is None:
                return Place(organisation_id="", organisation="", organisation_slug="", project_id=project)
            self._by_id.put(project, place)
        return place
