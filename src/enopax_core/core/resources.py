"""Use cases on resources: provision, look, list, update, delete, restore, suspend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from enopax_core.builtin.slugs import resource_id
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
from enopax_core.core.places import Places
from enopax_core.core.schemas import Request, Schemas
from enopax_core.engine import transitions
from enopax_core.engine.effects import cancel_queued
from enopax_core.engine.engine import Engine
from enopax_core.engine.present import Presenter, split_secrets
from enopax_core.engine.queue import queue_operation
from enopax_core.errors import Conflict, Fault, Forbidden, Invalid, NameTaken, NotFound, NotReady
from enopax_core.events.recorder import record_resource
from enopax_core.governors import Governors
from enopax_core.hooks import Change
from enopax_core.ledger import operations, resources
from enopax_core.ledger.interface import Ledger, Transaction
from enopax_core.provider.values import Metric, Price
from enopax_core.records.condition import Hold
from enopax_core.records.log import LogLine
from enopax_core.records.operation import Kind, OperationRecord, State
from enopax_core.records.place import Place, Target
from enopax_core.records.principal import SYSTEM, Permission, Principal
from enopax_core.records.resource import ResourceRecord, Status
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


class Resources:
    """Use cases on resources. Every face calls only these."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        registry: Registry,
        schemas: Mapping[str, Schemas],
        governors: Governors,
        places: Places,
        acceptance: Acceptance,
        engine: Engine,
        presenter: Presenter,
        vault: Vault,
        clock: Clock,
    ) -> None:
        self._ledger, self._registry, self._governors, self._places = ledger, registry, governors, places
        self._acceptance, self._engine, self._presenter = acceptance, engine, presenter
        self._schemas, self._vault, self._clock = schemas, vault, clock

    # ── Looking ───────────────────────────────────────────────────────────────────────────────────────────────────────

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
        place = await self.place(principal, organisation, project, Permission.READ)
        if place.new:
            return Page(items=(), next=None)

        def read(transaction: Transaction) -> tuple[list[ResourceRecord], Mapping[str, str]]:
            found = resources.page(
                transaction, endpoint=endpoint, project=place.project_id, after=after, size=size + 1, status=status
            )
            return found, operations.heads(transaction, [record.id for record in found])

        found, _ = await self._ledger.read(read)
        shown = [record for record in found[:size] if not self._has_expired(record)]
        return Page(
            items=[Seen(record=record, place=place) for record in shown],
            next=found[size - 1].position if len(found) > size else None,
        )

    async def place(self, principal: Principal, organisation: str, project: str, permission: str) -> Place:
        """Resolve a place and ask for a permission in it. Raises Forbidden, the same for foreign and for unknown places."""
        place = await self._places.resolve(organisation, project)
        target = Target(organisation=place.organisation_id, project=place.project_id)
        if not (await self._governors.authorise(principal, permission, [target]))[0]:
            raise Forbidden(f"This credential lacks the permission {permission} in this organisation and project.")
        return place

    async def metrics(self, principal: Principal, endpoint: str, id: str) -> Mapping[str, Metric]:
        """Measure a resource now. Raises NotFound, NotReady."""
        seen, registered = await self._with_backend(principal, endpoint, id, "metrics", Permission.READ)
        calls = self._engine.executor.calls(endpoint)
        return await calls(calls.hooks.metrics, resource=await self._presenter.resource(seen.record, registered))

    async def logs(self, principal: Principal, endpoint: str, id: str) -> Sequence[LogLine]:
        """The latest lines of the backend's log; none while there is no backend. Raises NotFound."""
        seen = await self.find(principal, endpoint, id, Permission.LOGS)
        registered = self._declaring(endpoint, "logs")
        if not seen.record.has_backend or seen.record.deleted_at is not None:
            return ()
        calls = self._engine.executor.calls(endpoint)
        return await calls(calls.hooks.logs, resource=await self._presenter.resource(seen.record, registered))

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
            change = await self._new(principal, registered, body)
            await self._governors.admit(change)
            record = change.after
            assert record is not None  # noqa: S101  # `_new` makes one

            def write(transaction: Transaction) -> Accepted:
                stored = resources.add(transaction, replace(record, created_at=transaction.now, updated_at=transaction.now))
                operation = queue_operation(transaction, Kind.PROVISION, registered, stored, principal=principal.id)
                return Accepted(resource=stored, operation=operation)

            return await self._acceptance.write(change, conditions, write)

        return await self._acceptance.repeatedly(attempt)

    async def preview_new(
        self, principal: Principal, endpoint: str, body: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]], Price | None]:
        """What provisioning would do: configuration, actions, price. Changes nothing. Raises as `provision` does."""
        registered = self._registry.provider(endpoint)
        change = replace(await self._new(principal, registered, body), preview=True)
        price = await self._governors.admit(change)
        record = change.after
        assert record is not None  # noqa: S101  # `_new` makes one
        if not change.place.new:
            taken = await self._ledger.read(partial(resources.find, endpoint=endpoint, project=record.project, name=record.name))
            if taken is not None:
                raise NameTaken
        actions: Sequence[Mapping[str, Any]] = [
            {"action": "create", "what": f"{registered.provider.name} {record.name}", "detail": record.plan or ""}
        ]
        if registered.has("preview"):
            calls = self._engine.executor.calls(endpoint)
            resource = await self._presenter_for(change.place).resource(record, registered)
            actions = [action.model_dump() for action in await calls(calls.hooks.preview, resource=resource)]
        return self.shown_config(record), actions, price or (change.plan.price if change.plan else None)

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
            registered = self._declaring(endpoint, "update")
            after = await self._changed(seen, registered, body)
            refuse_unless_changeable(seen.record)
            change = self._change(Kind.UPDATE, Permission.UPDATE, principal, seen, after)
            await self._governors.admit(change)

            def write(transaction: Transaction) -> Accepted:
                current = current_of(transaction, id, conditions)
                refuse_unless_changeable(current)
                if not _same_desire(current, seen.record):
                    raise Stale
                operation = queue_operation(transaction, Kind.UPDATE, registered, current, principal=principal.id)
                desired = replace(current, **_desire(after))
                waiting = transitions.types(operations.line(transaction, id))
                written = transitions.touched(current, desired, waiting, transaction.now)
                written = replace(written, version=current.version + 1, updated_at=transaction.now)
                resources.save(transaction, written)
                return Accepted(resource=written, operation=operation)

            return await self._acceptance.write(change, conditions, write)

        return await self._acceptance.repeatedly(attempt)

    async def preview_update(
        self, principal: Principal, endpoint: str, id: str, body: Mapping[str, Any]
    ) -> Sequence[Mapping[str, Any]]:
        """What an update would change, field by field. Changes nothing. Raises as `update` does."""
        seen = await self.find(principal, endpoint, id, Permission.UPDATE)
        registered = self._declaring(endpoint, "update")
        refuse_unless_changeable(seen.record)
        after = await self._changed(seen, registered, body)
        await self._governors.admit(replace(self._change(Kind.UPDATE, Permission.UPDATE, principal, seen, after), preview=True))
        secrets = registered.configuration.secrets
        old = {**self._presenter.config(seen.record), **_shared(seen.record)}
        new = {**self._presenter.config(after), **_shared(after)}
        changes = []
        for name in sorted({*old, *new}):
            if old.get(name) == new.get(name):
                continue
            schema = registered.configuration.properties.get(name, {})
            shown = {"old": old.get(name), "new": new.get(name)}
            if name in secrets:
                shown = {side: "***" for side, value in shown.items() if value is not None}
            changes.append({"pointer": f"/{name}", **shown, "effect": schema.get("x-effect", "in-place")})
        return changes

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
        change = self._change(kind, kind.value, principal, seen, None)
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
        registered = self._declaring(endpoint, "restore")
        change = self._change(Kind.RESTORE, Permission.RESTORE, principal, seen, None)
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

    # ── Holds ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def hold(self, id: str, name: str, reason: str) -> None:
        """Suspend a resource for a named reason; several may coexist. Repeatable. Raises NotFound."""

        def held(current: ResourceRecord, transaction: Transaction) -> ResourceRecord:
            others = [hold for hold in current.holds if hold.name != name]
            since = next((hold.since for hold in current.holds if hold.name == name), transaction.now)
            return replace(current, holds=(*others, Hold(name=name, reason=reason, since=since)))

        await self._hold(id, held)

    async def release(self, id: str, name: str) -> None:
        """Take a hold away; the resource resumes with the last one. Repeatable. Raises NotFound."""

        def released(current: ResourceRecord, _: Transaction) -> ResourceRecord:
            return replace(current, holds=tuple(hold for hold in current.holds if hold.name != name))

        await self._hold(id, released)

    async def _hold(self, id: str, change: Any) -> None:
        def write(transaction: Transaction) -> OperationRecord | None:
            current = resources.get(transaction, id)
            if current is None:
                raise NotFound
            desired = change(current, transaction)
            waiting = transitions.types(operations.line(transaction, id))
            after = transitions.touched(current, desired, waiting, transaction.now)
            resources.save(transaction, after)
            if bool(current.holds) == bool(after.holds):
                return None
            kind, what = (Kind.SUSPEND, "suspended") if after.holds else (Kind.RESUME, "resumed")
            record_resource(transaction, after, what, {"holds": [hold.name for hold in after.holds]})
            registered = self._registry.provider(current.endpoint)
            if not registered.has(kind) or not current.has_backend or not current.live:
                return None
            return queue_operation(transaction, kind, registered, after, principal=SYSTEM.id)

        operation = await self._ledger.write(write)
        if operation is not None:
            await self._engine.publish(operation.id)

    # ── Parts ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def get(self, id: str) -> ResourceRecord | None:
        """A resource by id, for plugins; nobody's permission is asked."""
        return await self._ledger.read(partial(resources.get, id=id))

    async def by_name(self, endpoint: str, project: str, name: str) -> ResourceRecord | None:
        """The live resource that holds a name, for plugins; nobody's permission is asked."""
        return await self._ledger.read(partial(resources.find, endpoint=endpoint, project=project, name=name))

    def shown_config(self, record: ResourceRecord) -> dict[str, Any]:
        """A configuration as it may be shown: secrets as `***`."""
        return {**record.config, **dict.fromkeys(self._vault.open(record.sealed_config), "***")}

    def _has_expired(self, record: ResourceRecord) -> bool:
        return record.expires_at is not None and record.expires_at <= self._clock()

    def _declaring(self, endpoint: str, hook: str) -> Registered:
        """The provider, if it declares a capability: what it does not declare does not exist."""
        registered = self._registry.provider(endpoint)
        if not registered.has(hook):
            raise NotFound(f"{registered.provider.name} does not offer {hook}.")
        return registered

    async def _with_backend(
        self, principal: Principal, endpoint: str, id: str, hook: str, permission: str
    ) -> tuple[Seen, Registered]:
        seen = await self.find(principal, endpoint, id, permission)
        registered = self._declaring(endpoint, hook)
        if not seen.record.has_backend or seen.record.deleted_at is not None:
            raise NotReady
        return seen, registered

    async def _new(self, principal: Principal, registered: Registered, body: Mapping[str, Any]) -> Change:
        schemas = self._schemas[registered.endpoint]
        request = schemas.new(body)
        place = await self.place(principal, request.organisation or "", request.project or "", Permission.CREATE)
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

    async def _changed(self, seen: Seen, registered: Registered, body: Mapping[str, Any]) -> ResourceRecord:
        """The record as asked for. Raises Invalid."""
        schemas = self._schemas[registered.endpoint]
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

    def _change(self, kind: str, permission: str, principal: Principal, seen: Seen, after: ResourceRecord | None) -> Change:
        record = seen.record
        registered = self._registry.provider(record.endpoint)
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

    def _presenter_for(self, place: Place) -> Presenter:
        """A presenter that knows a place which is not stored yet."""

        async def place_of(_: str) -> Place:
            return place

        return Presenter(self._vault, place_of)


def target_of(record: ResourceRecord) -> Target:
    """What permissions on a resource are asked for."""
    return Target(organisation=record.organisation, project=record.project, resource=record.id)


DESIRED = ("name", "plan", "ssh_keys", "config", "sealed_config")


def _desire(record: ResourceRecord) -> dict[str, Any]:
    return {field: getattr(record, field) for field in DESIRED}


def _same_desire(one: ResourceRecord, other: ResourceRecord) -> bool:
    return _desire(one) == _desire(other)


def _shared(record: ResourceRecord) -> dict[str, Any]:
    return {"name": record.name, "plan": record.plan, "sshKeys": list(record.ssh_keys)}


def _moves(request: Request, seen: Seen) -> list[Fault]:
    """Fields that may be sent unchanged only."""
    sent = {
        "organisationName": (request.organisation, seen.place.organisation),
        "projectName": (request.project, seen.place.project),
        "userId": (request.user_id, seen.record.user_id),
    }
    return [Fault(f"/{f}", "This cannot be changed.") for f, (new, old) in sent.items() if new is not None and new != old]
