"""From a request's body to the change that is asked for: checked, its place resolved, its secrets sealed. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from enopax_core.builtin.slugs import resource_id
from enopax_core.clock import Clock
from enopax_core.core.looks import Seen
from enopax_core.core.places import Places
from enopax_core.core.schemas import Request, Schemas
from enopax_core.engine.present import Presenter, split_secrets
from enopax_core.errors import Fault, Invalid
from enopax_core.hooks import Change
from enopax_core.records.operation import Kind
from enopax_core.records.principal import Permission, Principal
from enopax_core.records.resource import ResourceRecord
from enopax_core.registry import Registered
from enopax_core.vault import Vault


class Proposals:
    """Makes changes out of requests."""

    def __init__(
        self, *, places: Places, schemas: Mapping[str, Schemas], presenter: Presenter, vault: Vault, clock: Clock
    ) -> None:
        self._places, self._schemas = places, schemas
        self._presenter, self._vault, self._clock = presenter, vault, clock

    async def provision(self, principal: Principal, registered: Registered, body: Mapping[str, Any]) -> Change:
        """A new resource. Raises Invalid, Forbidden."""
        schemas = self._schemas[registered.endpoint]
        request = schemas.new(body)
        place = await self._places.allowed(principal, request.organisation or "", request.project or "", Permission.CREATE)
        public, secret = split_secrets(schemas.whole(request.config), registered.configuration.secrets)
        now = self._clock()
        record = ResourceRecord(
            id=resource_id(place.organisation_slug, place.project_slug, request.name or ""),
            endpoint=registered.endpoint,
            organisation=place.organisation_id,
            project=place.project_id,
            name=request.name or "",
            user_id=request.user_id,
            plan=request.plan.id if request.plan else None,
            ssh_keys=request.ssh_keys or (),
            config=public,
            sealed_config=self._vault.seal(secret),
            created_at=now,
            updated_at=now,
        )
        return Change(
            type=Kind.PROVISION,
            permission=Permission.CREATE,
            principal=principal,
            place=place,
            endpoint=registered.endpoint,
            plan=request.plan,
            after=record,
        )

    def desired(self, seen: Seen, registered: Registered, body: Mapping[str, Any]) -> ResourceRecord:
        """The record as asked for. Raises Invalid."""
        schemas = self._schemas[seen.record.endpoint]
        request = schemas.change(body)
        faults = _moves(request, seen)
        if faults:
            raise Invalid("Resources do not move.", faults=faults)
        record = seen.record
        config = schemas.whole({**self._presenter.config(record), **request.config})
        public, secret = split_secrets(config, registered.configuration.secrets)
        unchanged = secret == self._vault.open(record.sealed_config)
        return replace(
            record,
            name=request.name or record.name,
            plan=request.plan.id if request.plan else record.plan,
            ssh_keys=record.ssh_keys if request.ssh_keys is None else request.ssh_keys,
            config=public,
            sealed_config=record.sealed_config if unchanged else self._vault.seal(secret),
        )


def change_of(
    seen: Seen, registered: Registered, kind: str, permission: str, principal: Principal, after: ResourceRecord | None = None
) -> Change:
    """What somebody wants to do with a resource, as the governing hooks see it."""
    record = seen.record
    return Change(
        type=kind,
        permission=permission,
        principal=principal,
        place=seen.place,
        endpoint=record.endpoint,
        plan=registered.plans.get((after or record).plan or ""),
        before=record,
        after=after,
    )


def _moves(request: Request, seen: Seen) -> list[Fault]:
    """Fields that may be sent unchanged only."""
    sent = {
        "organisationName": (request.organisation, seen.place.organisation),
        "projectName": (request.project, seen.place.project),
        "userId": (request.user_id, seen.record.user_id),
    }
    return [Fault(f"/{f}", "This cannot be changed.") for f, (new, old) in sent.items() if new is not None and new != old]
