"""Looking at resources: find, list, measure, read their log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from enopax_core.clock import Clock
from enopax_core.core.places import Places
from enopax_core.engine.engine import Engine
from enopax_core.engine.present import Presenter
from enopax_core.errors import NotFound, NotReady
from enopax_core.governors import Governors
from enopax_core.ledger import operations, resources
from enopax_core.ledger.interface import Ledger, Transaction
from enopax_core.provider.values import Metric
from enopax_core.records.log import LogLine
from enopax_core.records.operation import OperationRecord
from enopax_core.records.place import Place, Target
from enopax_core.records.principal import Permission, Principal
from enopax_core.records.resource import ResourceRecord
from enopax_core.registry import Registered, Registry
from enopax_core.vault import Vault


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A resource as a caller may see it: with the names of its place and the operation that runs or comes next."""

    record: ResourceRecord
    place: Place
    operation: OperationRecord | None = None


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of a list; `next` is the position behind which the following one begins, None on the last."""

    items: Sequence[Seen]
    next: int | None


class Looks:
    """The half of the use cases on resources that changes nothing."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        registry: Registry,
        governors: Governors,
        places: Places,
        engine: Engine,
        presenter: Presenter,
        vault: Vault,
        clock: Clock,
    ) -> None:
        self._ledger, self._registry, self._governors, self._places = ledger, registry, governors, places
        self._engine, self._presenter, self._vault, self._clock = engine, presenter, vault, clock

    async def find(self, principal: Principal, endpoint: str, id: str, permission: str = Permission.READ) -> Seen:
        """A resource, if the caller may see it. Raises NotFound, Forbidden."""
        self._registry.provider(endpoint)

        def read(transaction: Transaction) -> tuple[ResourceRecord, OperationRecord | None] | None:
            record = resources.get(transaction, id)
            if record is None:
                return None
            line = operations.line(transaction, id)
            return record, line[0] if line else None

        found = await self._ledger.read(read)
        if found is None or found[0].endpoint != endpoint or self._has_expired(found[0]):
            raise NotFound
        record, operation = found
        await self._governors.require(principal, permission, target_of(record))
        return Seen(record=record, place=await self._places.of(record.project), operation=operation)

    async def page(
        self,
        principal: Principal,
        endpoint: str,
        organisation: str,
        project: str,
        *,
        after: int,
        size: int,
        status: str | None,
    ) -> Page:
        """One page of a project's resources, in order of creation. Raises NotFound, Forbidden."""
        self._registry.provider(endpoint)
        place = await self._places.allowed(principal, organisation, project, Permission.READ)
        if place.new:
            return Page(items=(), next=None)

        read = partial(resources.page, endpoint=endpoint, project=place.project_id, after=after, size=size + 1, status=status)
        found = await self._ledger.read(read)
        shown = [record for record in found[:size] if not self._has_expired(record)]
        return Page(
            items=[Seen(record=record, place=place) for record in shown],
            next=found[size - 1].position if len(found) > size else None,
        )

    async def metrics(self, principal: Principal, endpoint: str, id: str) -> Mapping[str, Metric]:
        """Measure a resource now. Raises NotFound, NotReady."""
        seen, registered = await self._with_backend(principal, endpoint, id, "metrics", Permission.READ)
        calls = self._engine.executor.calls(endpoint)
        return await calls(calls.hooks.metrics, resource=await self._presenter.resource(seen.record, registered))

    async def logs(self, principal: Principal, endpoint: str, id: str) -> Sequence[LogLine]:
        """The latest lines of the backend's log; none while there is no backend. Raises NotFound."""
        seen = await self.find(principal, endpoint, id, Permission.LOGS)
        registered = self.declaring(endpoint, "logs")
        if not seen.record.has_backend or seen.record.deleted_at is not None:
            return ()
        calls = self._engine.executor.calls(endpoint)
        return await calls(calls.hooks.logs, resource=await self._presenter.resource(seen.record, registered))

    def declaring(self, endpoint: str, hook: str) -> Registered:
        """The provider, if it declares a capability: what it does not declare does not exist."""
        registered = self._registry.provider(endpoint)
        if not registered.has(hook):
            raise NotFound(f"{registered.provider.name} does not offer {hook}.")
        return registered

    def shown_config(self, record: ResourceRecord) -> dict[str, Any]:
        """A configuration as it may be shown: secrets as `***`."""
        return {**record.config, **dict.fromkeys(self._vault.open(record.sealed_config), "***")}

    def _has_expired(self, record: ResourceRecord) -> bool:
        return record.expires_at is not None and record.expires_at <= self._clock()

    async def _with_backend(
        self, principal: Principal, endpoint: str, id: str, hook: str, permission: str
    ) -> tuple[Seen, Registered]:
        seen = await self.find(principal, endpoint, id, permission)
        registered = self.declaring(endpoint, hook)
        if not seen.record.has_backend or seen.record.deleted_at is not None:
            raise NotReady
        return seen, registered


def target_of(record: ResourceRecord) -> Target:
    """What permissions on a resource are asked for."""
    return Target(organisation=record.organisation, project=record.project, resource=record.id)
