"""From the ledger's record to what a provider's methods see."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from enopax_core.provider.values import Plan, Resource
from enopax_core.records.place import Place
from enopax_core.records.resource import ResourceRecord
from enopax_core.registry import Registered
from enopax_core.vault import Vault

NO_PLAN = Plan(id="")
PlaceOf = Callable[[str], Awaitable[Place]]
"""Gives the names of a project by its id."""


class Presenter:
    """Opens what is sealed and names what is opaque."""

    def __init__(self, vault: Vault, place_of: PlaceOf) -> None:
        self._vault, self._place_of = vault, place_of

    async def resource(self, record: ResourceRecord, registered: Registered) -> Resource[Any]:
        """The value that a provider's method gets."""
        place = await self._place_of(record.project)
        load = registered.configuration.load
        applied = None if record.applied is None else load({**record.applied, **self._vault.open(record.sealed_applied)})
        return Resource(
            id=record.id,
            name=record.name,
            organisation=place.organisation,
            project=place.project,
            organisation_slug=place.organisation_slug,
            project_slug=place.project_slug,
            plan=registered.plans.get(record.plan or "", NO_PLAN),
            config=load(self.config(record)),
            applied=applied,
            ssh_keys=record.ssh_keys,
            state=self._vault.open(record.sealed_state),
            credentials=self._vault.open(record.sealed_credentials),
        )

    def config(self, record: ResourceRecord) -> dict[str, Any]:
        """The desired configuration with its secrets, as on the wire."""
        return {**record.config, **self._vault.open(record.sealed_config)}


def split_secrets(config: dict[str, Any], secrets: Sequence[str] | frozenset[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The part of a configuration that may be shown, and the part that must be sealed."""
    return (
        {name: value for name, value in config.items() if name not in secrets},
        {name: value for name, value in config.items() if name in secrets},
    )
