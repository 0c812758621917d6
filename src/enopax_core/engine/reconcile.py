"""Compares desired with observed, sets conditions, finds orphans. Runs as an operation, one for each provider and time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from enopax_core.engine import transitions
from enopax_core.engine.calls import Calls
from enopax_core.engine.effects import Ended
from enopax_core.engine.orphans import Orphans
from enopax_core.engine.present import Presenter
from enopax_core.errors import EnopaxError, RuntimeUnavailable
from enopax_core.ledger import operations, resources
from enopax_core.ledger.interface import Ledger, Transaction
from enopax_core.provider.values import Observed
from enopax_core.records.operation import State
from enopax_core.records.resource import ResourceRecord
from enopax_core.registry import Registered
from enopax_core.telemetry import Metrics

log = logging.getLogger(__name__)
PAGE = 100


class Reconciler:
    """Looks at every backend of a provider, or at one."""

    def __init__(self, ledger: Ledger, presenter: Presenter, metrics: Metrics, orphans: Orphans) -> None:
        self._ledger, self._presenter, self._metrics, self._orphans = ledger, presenter, metrics, orphans
        self._told: Sequence[str] = ()  # services without a resource, as last logged

    async def run(self, registered: Registered, calls: Calls, only: ResourceRecord | None) -> Ended:
        """Reconcile one resource, or all of a provider with its orphans. The result counts what was seen."""
        if only is not None:
            await self._look(registered, calls, only)
            return Ended(state=State.SUCCEEDED)
        seen, changed, after = 0, 0, 0
        while page := await self._ledger.read(
            partial(resources.page_of_endpoint, endpoint=registered.endpoint, after=after, size=PAGE)
        ):
            after = page[-1].position
            for record in page:
                if record.has_backend and record.deleted_at is None:
                    seen += 1
                    changed += await self._look(registered, calls, record)
        orphans = await self._orphans.backends(registered)
        self._metrics.orphans(registered.endpoint, len(orphans))
        if orphans:
            log.warning("%s has backends without a resource: %s", registered.endpoint, ", ".join(orphans[:20]))
        await self._look_at_services()
        return Ended(state=State.SUCCEEDED, result={"looked": seen, "changed": changed, "orphans": orphans})

    async def _look_at_services(self) -> None:
        try:
            stray = [service for services in (await self._orphans.services()).values() for service in services]
        except RuntimeUnavailable:
            return
        self._metrics.orphans("runtime", len(stray))
        if stray and stray != self._told:  # each provider's turn comes here: once is enough
            log.warning("There are services without a resource: %s", ", ".join(stray[:20]))
        self._told = stray

    async def _look(self, registered: Registered, calls: Calls, record: ResourceRecord) -> bool:
        """Take over what the provider sees; whether that changed anything. What an operation works on is left alone."""
        try:
            resource = await self._presenter.resource(record, registered)
            found: Observed | None = await calls(calls.hooks.status, resource=resource)
        except EnopaxError:
            found = None

        def write(transaction: Transaction) -> bool:
            current = resources.get(transaction, record.id)
            if current is None or current.version != record.version or current.deleted_at is not None:
                return False
            waiting = transitions.types(o for o in operations.line(transaction, record.id) if o.type != "reconcile")
            if waiting:
                return False
            after = transitions.touched(current, transitions.observed(current, found, transaction.now), waiting, transaction.now)
            if after == current:
                return False
            resources.save(transaction, after)
            return True

        return await self._ledger.write(write)
