"""Names of places: resolved once at the edge, shown in answers."""

from __future__ import annotations

from collections import OrderedDict

from enopax_core.governors import Governors
from enopax_core.records.place import Place

KEPT = 10_000  # places in memory, some 300 bytes each


class Places:
    """Resolves names to places and ids back to names."""

    def __init__(self, governors: Governors) -> None:
        self._governors = governors
        self._known: OrderedDict[str, Place] = OrderedDict()

    async def resolve(self, organisation: str, project: str | None) -> Place:
        """The place of two display names; `new` where it does not exist yet."""
        place = await self._governors.resolve(organisation, project)
        return place or Place(organisation_id="", organisation=organisation, organisation_slug="", new=True)

    async def of(self, project: str) -> Place:
        """Names of a project by its id."""
        if project not in self._known:
            found = await self._governors.places([project])
            if project not in found:
                return Place(organisation_id="", organisation="", organisation_slug="", project_id=project)
            self._known[project] = found[project]
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return self._known[project]

    def forget(self, project: str) -> None:
        """A project was renamed."""
        self._known.pop(project, None)
