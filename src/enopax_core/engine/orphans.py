"""What the machine holds of resources that the ledger knows nothing of: found by looking, removed where a person asks for it.

Whatever the ledger knows is no orphan: deleted resources that are kept, and those that are just being made. It is asked after
the backends, so what came to be meanwhile was not listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from enopax_core.engine.calls import Calls
from enopax_core.ledger import resources
from enopax_core.ledger.interface import Ledger, Transaction
from enopax_core.registry import Registered
from enopax_core.runtime.interface import Known
from enopax_core.runtime.opening import Opening


class Orphans:
    """Finds and removes them."""

    def __init__(self, ledger: Ledger, opening: Opening, calls: Mapping[str, Calls]) -> None:
        """`calls` by endpoint, of every provider."""
        self._ledger, self._opening, self._calls = ledger, opening, calls

    async def backends(self, registered: Registered) -> Sequence[str]:
        """Ids that a provider lists and that are no resource's. Raises EnopaxError."""
        if not registered.has("inventory"):
            return []
        calls = self._calls[registered.endpoint]
        return await self._unknown(await calls(calls.hooks.inventory))

    async def services(self) -> Mapping[str, Sequence[str]]:
        """Services of which a definition, a process or a directory is left, by the id of the resource that is no more.

        Raises: RuntimeUnavailable.
        """
        served: dict[str, list[str]] = {}
        for known in await self._opening.services():
            resource = serves(known)
            if resource is not None:
                served.setdefault(resource, []).append(known.id)
        return {id: served[id] for id in await self._unknown(served)}

    async def remove_services(self, resource: str) -> None:
        """End and remove every service of a resource, with its data, unless the ledger knows it. Raises RuntimeUnavailable."""
        for service in (await self.services()).get(resource, ()):
            await self._opening.runtime().remove(service)

    async def _unknown(self, ids: Iterable[str]) -> Sequence[str]:
        def read(transaction: Transaction) -> list[str]:
            return [id for id in sorted(ids) if resources.get(transaction, id) is None]

        return await self._ledger.read(read)


def serves(known: Known) -> str | None:
    """Id of the resource that a service is there for; None: it is a plugin's own, which has no dot in its id.

    Where only a process or a directory is left, its id alone tells (`Service.id`).
    """
    if known.defined:
        return known.resource
    resource, dot, _ = known.id.partition(".")
    return resource if dot and resource else None
