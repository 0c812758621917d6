"""Changing resources: provision, update, delete, restore. Each change is accepted in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from enopax_core.clock import Clock
from enopax_core.core.acceptance import (
    NO_CONDITIONS,
    Acceptance,
    Accepted,
    Conditions,
    Stale,
    current_of,
    refuse_unless_changeable,
)
from enopax_core.core.looks import Looks
from enopax_core.core.places import Places
from enopax_core.core.proposals import Proposals, change_of
from enopax_core.engine import transitions
from enopax_core.engine.effects import cancel_queued
from enopax_core.engine.engine import Engine
from enopax_core.engine.present import Presenter
from enopax_core.engine.queue import queue_operation
from enopax_core.errors import Conflict
from enopax_core.governors import Governors
from enopax_core.ledger import operations, resources
from enopax_core.ledger.interface import Ledger, Transaction
from enopax_core.records.operation import Kind, State
from enopax_core.records.principal import Permission, Principal
from enopax_core.records.resource import ResourceRecord, Status
from enopax_core.registry import Registry
from enopax_core.vault import Vault


class Resources(Looks):
    """Use cases on resources. Every face calls only these; those that change nothing stand in `Looks`."""

    def __init__(
        self,
        *,
        acceptance: Acceptance,
        proposals: Proposals,
        ledger: Ledger,
        registry: Registry,
        governors: Governors,
        places: Places,
        engine: Engine,
        presenter: Presenter,
        vault: Vault,
        clock: Clock,
    ) -> None:
        super().__init__(
            ledger=ledger,
            registry=registry,
            governors=governors,
            places=places,
            engine=engine,
            presenter=presenter,
            vault=vault,
            clock=clock,
        )
        self._acceptance, self._proposals = acceptance, proposals

    # ── Changing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def provision(
        self, principal: Principal, endpoint: str, body: Mapping[str, Any], conditions: Conditions = NO_CONDITIONS
    ) -> Accepted:
        """Accept a new resource; return once resource and operation are durable.

        Raises: NotFound (no such provider), Invalid (every fault at its pointer), Forbidden, NameTaken, or what a
        governing plugin refuses with.
        """
        registered = self._registry.provider(endpoint)

        async def attempt() -> Accepted:
            change = await self._proposals.provision(principal, registered, body)
            await self._governors.admit(change)
            record = change.after
            assert record is not None  # noqa: S101  # `_new` makes one

            def write(transaction: Transaction) -> Accepted:
                sealed = self._vault.renewed(record.sealed_config)
                new = replace(record, sealed_config=sealed, created_at=transaction.now, updated_at=transaction.now)
                stored = resources.add(transaction, new)
                operation = queue_operation(transaction, Kind.PROVISION, registered, stored, principal=principal.id)
                return Accepted(resource=stored, operation=operation)

            return await self._acceptance.write(change, conditions, write)

        return await self._acceptance.repeatedly(attempt)

    async def update(
        self,
        principal: Principal,
        endpoint: str,
        id: str,
        body: Mapping[str, Any],
        conditions: Conditions = NO_CONDITIONS,
    ) -> Accepted:
        """Accept a partial change of a resource.

        Raises: NotFound, Forbidden, Invalid, Gone, Suspended, NameTaken, PreconditionFailed, or what a plugin refuses with.
        """

        async def attempt() -> Accepted:
            seen = await self.find(principal, endpoint, id, Permission.UPDATE)
            registered = self.declaring(endpoint, "update")
            after = self._proposals.desired(seen, registered, body)
            refuse_unless_changeable(seen.record)
            change = change_of(seen, registered, Kind.UPDATE, Permission.UPDATE, principal, after)
            await self._governors.admit(change)

            def write(transaction: Transaction) -> Accepted:
                current = current_of(transaction, id, conditions)
                refuse_unless_changeable(current)
                if not _same_desire(current, seen.record):
                    raise Stale
                operation = queue_operation(transaction, Kind.UPDATE, registered, current, principal=principal.id)
                desired = replace(current, **_desire(after), sealed_config=self._vault.renewed(after.sealed_config))
                waiting = transitions.types(operations.line(transaction, id))
                written = transitions.touched(current, desired, waiting, transaction.now)
                written = replace(written, version=current.version + 1, updated_at=transaction.now)
                resources.save(transaction, written)
                return Accepted(resource=written, operation=operation)

            return await self._acceptance.write(change, conditions, write)

        return await self._acceptance.repeatedly(attempt)

    async def delete(
        self,
        principal: Principal,
        endpoint: str,
        id: str,
        *,
        purge: bool = False,
        conditions: Conditions = NO_CONDITIONS,
    ) -> Accepted:
        """Take a resource out of service; soft where its provider keeps data, for good with `purge`. Repeatable.

        Raises: NotFound, Forbidden, PreconditionFailed, or what a plugin refuses with.
        """
        seen = await self.find(principal, endpoint, id, Permission.PURGE if purge else Permission.DELETE)
        registered = self._registry.provider(endpoint)
        kind = Kind.PURGE if purge else Kind.DELETE
        change = change_of(seen, registered, kind, kind.value, principal)
        await self._governors.admit(change)
        cancelled: list[str] = []

        def write(transaction: Transaction) -> Accepted:
            current = current_of(transaction, id, conditions)
            line = operations.line(transaction, id)
            pending = [o for o in line if o.type == kind or (kind is Kind.DELETE and o.type == Kind.PURGE)]
            if pending:
                return Accepted(resource=current, operation=pending[0])
            if current.deleted_at is not None and not purge and not any(o.type == Kind.RESTORE for o in line):
                return Accepted(resource=current, operation=None)
            cancel_queued(transaction, line)
            for running in line:
                if running.state is State.RUNNING:
                    operations.save(transaction, replace(running, cancel_requested=True))
                    cancelled.append(running.id)
            operation = queue_operation(transaction, kind, registered, current, principal=principal.id)
            waiting = transitions.types(operations.line(transaction, id))
            freed = replace(current, name_held=False)
            after = transitions.touched(current, transitions.without(freed, "Deleted"), waiting, transaction.now)
            resources.save(transaction, after)
            return Accepted(resource=after, operation=operation)

        accepted = await self._acceptance.write(change, conditions, write)
        for operation_id in cancelled:
            self._engine.cancel(operation_id)
        return accepted

    async def restore(self, principal: Principal, endpoint: str, id: str, conditions: Conditions = NO_CONDITIONS) -> Accepted:
        """Bring a deleted resource back within its retention. Raises NotFound, Forbidden, Conflict, NameTaken."""
        seen = await self.find(principal, endpoint, id, Permission.RESTORE)
        registered = self.declaring(endpoint, "restore")
        change = change_of(seen, registered, Kind.RESTORE, Permission.RESTORE, principal)
        await self._governors.admit(change)

        def write(transaction: Transaction) -> Accepted:
            current = current_of(transaction, id, conditions)
            if current.deleted_at is None or current.status is not Status.DELETED:
                raise Conflict("The resource is not deleted.")
            if not current.has_backend:
                raise Conflict("Nothing was kept of this resource.")
            operation = queue_operation(transaction, Kind.RESTORE, registered, current, principal=principal.id)
            waiting = transitions.types(operations.line(transaction, id))
            after = transitions.touched(current, replace(current, name_held=True), waiting, transaction.now)
            resources.save(transaction, after)
            return Accepted(resource=after, operation=operation)

        return await self._acceptance.write(change, conditions, write)


DESIRED = ("name", "plan", "ssh_keys", "config")


def _desire(record: ResourceRecord) -> dict[str, Any]:
    return {field: getattr(record, field) for field in DESIRED}


def _same_desire(one: ResourceRecord, other: ResourceRecord) -> bool:
    return _desire(one) == _desire(other) and one.sealed_config == other.sealed_config
