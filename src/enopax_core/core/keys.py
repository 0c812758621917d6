"""Use cases on API keys: create, list, revoke, rotate. Nobody makes a key wider than their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

import anyio

from enopax_core.builtin import keys
from enopax_core.builtin.keys import Key
from enopax_core.builtin.roles import ROLES, permissions_of, rank
from enopax_core.clock import Clock
from enopax_core.core.acceptance import audit
from enopax_core.core.owner_key import OwnerKeyFile
from enopax_core.core.places import Places
from enopax_core.errors import Conflict, Fault, Forbidden, Invalid, NotFound, PlaceTaken
from enopax_core.events.recorder import new_id
from enopax_core.governors import Governors
from enopax_core.hooks import Change, Host
from enopax_core.ledger import idempotency
from enopax_core.ledger.idempotency import BoundRequest
from enopax_core.ledger.interface import Ledger, Transaction
from enopax_core.records.place import Place, Target
from enopax_core.records.principal import INSTALLATION, Permission, Principal


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """What somebody asks for."""

    name: str
    role: str
    organisation: str | None = None  # display names
    project: str | None = None
    permissions: frozenset[str] | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class SeenKey:
    """A key with the names of its place; `secret` only where it was just made."""

    key: Key
    organisation: str | None
    project: str | None
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class KeyPage:
    """One page of a list; `next` is the position behind which the following one begins, None on the last."""

    items: Sequence[SeenKey]
    next: int | None


Seal = Callable[[SeenKey], bytes | None]
"""Makes the recorded answer of a request with an idempotency key, in the transaction that makes the key."""


class Keys:
    """Use cases on API keys. Every face calls only these."""

    def __init__(
        self,
        *,
        host: Host,
        ledger: Ledger,
        governors: Governors,
        places: Places,
        owner_key_file: OwnerKeyFile,
        clock: Clock,
    ) -> None:
        self._host, self._ledger, self._governors = host, ledger, governors
        self._places, self._file, self._clock = places, owner_key_file, clock

    async def create(
        self, principal: Principal, wanted: NewKey, bound: BoundRequest | None = None, seal: Seal | None = None
    ) -> SeenKey:
        """Make a key; its secret is in the answer and nowhere else. Raises Invalid, Forbidden."""
        self._check(wanted)
        for _ in range(5):
            place = await self._place(principal, wanted)
            self._refuse_wider(principal, wanted.role, wanted.permissions, wanted.expires_at)
            try:
                return await self._ledger.write(partial(self._create, principal, wanted, place, bound, seal))
            except PlaceTaken:
                continue
        raise Conflict("Too many others are changing this at the same moment.")

    async def page(self, principal: Principal, *, after: int, size: int) -> KeyPage:
        """The keys within the caller's own scope. Raises Forbidden."""
        await self._governors.require(principal, Permission.KEYS, _target(principal.organisation, principal.project))
        found = await self._ledger.read(
            partial(keys.page, organisation=principal.organisation, project=principal.project, after=after, size=size + 1)
        )
        shown = [await self._seen(key) for key in found[:size]]
        return KeyPage(items=shown, next=found[size - 1].position if len(found) > size else None)

    async def rotate(self, principal: Principal, id: str, bound: BoundRequest | None = None, seal: Seal | None = None) -> SeenKey:
        """Give a key a new secret; the old one is void at once. The owner's file follows. Raises NotFound, Forbidden."""
        key = await self._own(principal, id)
        self._refuse_wider(principal, key.role, key.permissions, key.expires_at)
        secret = keys.new_key()
        seen = replace(await self._seen(replace(key, preview=secret[:12])), secret=secret)

        def write(transaction: Transaction) -> None:
            if self._file.holds(transaction, id):
                self._file.prepare(secret)
            if not keys.rotate(transaction, id, secret):
                raise NotFound
            _bind(transaction, bound, seal, seen)
            audit(transaction, self._audited("key.rotate", principal, key), None)

        with anyio.CancelScope(shield=True):  # a caller who leaves must not leave the file behind
            await self._ledger.write(write)
            await self._ledger.write(self._file.settle)
        self._host.revoked(id)
        return seen

    async def revoke(self, principal: Principal, id: str, bound: BoundRequest | None = None) -> None:
        """Make a key void; its open streams end. Raises NotFound, Forbidden."""
        key = await self._own(principal, id)

        def write(transaction: Transaction) -> None:
            if not keys.revoke(transaction, id):
                raise NotFound
            if bound is not None:
                idempotency.bind(transaction, bound, transaction.now)
            audit(transaction, self._audited("key.revoke", principal, key), None)

        await self._ledger.write(write)
        self._host.revoked(id)

    async def ensure_owner(self) -> None:
        """On the first start, make the owner's key and write it to its file; later, finish what a kill left unfinished there."""

        def write(transaction: Transaction) -> None:
            if not keys.none_yet(transaction):
                self._file.settle(transaction)
                return
            secret = keys.new_key()
            self._file.create(secret)  # before the commit: a key nobody ever saw would lock the operator out
            fields = {"name": "owner", "role": "owner", "permissions": None, "organisation": None, "project": None}
            keys.add(transaction, new_id("key"), secret, {**fields, "expires_at": None, "created_by": INSTALLATION.id})

        await self._ledger.write(write)

    # ── Parts ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _check(self, wanted: NewKey) -> None:
        faults = []
        if wanted.role not in ROLES:
            faults.append(Fault("/role", f"This must be one of {list(ROLES)}."))
        elif wanted.permissions is not None:
            wide = wanted.permissions - permissions_of(wanted.role, self._host.declared_permissions)
            if wide:
                faults.append(Fault("/permissions", f"The role {wanted.role} does not hold {', '.join(sorted(wide))}."))
        if wanted.project is not None and wanted.organisation is None:
            faults.append(Fault("/organisation", "A project needs its organisation."))
        if wanted.expires_at is not None and wanted.expires_at <= self._clock():
            faults.append(Fault("/expiresAt", "This must lie in the future."))
        if faults:
            raise Invalid(faults=faults)

    async def _place(self, principal: Principal, wanted: NewKey) -> Place | None:
        """Where the key reaches, None: everywhere. Raises Forbidden unless the caller may make keys there."""
        if wanted.organisation is not None:
            return await self._places.allowed(principal, wanted.organisation, wanted.project, Permission.KEYS)
        await self._governors.require(principal, Permission.KEYS, Target())
        return None

    def _refuse_wider(
        self, principal: Principal, role: str, permissions: frozenset[str] | None, expires_at: datetime | None
    ) -> None:
        """Nobody gets hold of a secret that may do more than their own, or for longer. Raises Forbidden."""
        if principal.kind == "system":
            return
        own = principal.role or ROLES[0]
        if rank(role) > rank(own):
            raise Forbidden(f"A {own} cannot make a key for the role {role}.")
        if principal.permissions is not None:
            given = permissions_of(role, self._host.declared_permissions) if permissions is None else permissions
            if given - principal.permissions:
                raise Forbidden("Nobody makes a key wider than their own: name narrower permissions.")
        if principal.expires_at is not None and (expires_at is None or expires_at > principal.expires_at):
            raise Forbidden("Nobody makes a key that outlives their own: name an earlier expiresAt.")

    def _create(
        self,
        principal: Principal,
        wanted: NewKey,
        place: Place | None,
        bound: BoundRequest | None,
        seal: Seal | None,
        transaction: Transaction,
    ) -> SeenKey:
        change = Change(
            type="key.create",
            permission=Permission.KEYS,
            principal=principal,
            place=place or Place(organisation_id="", organisation="", organisation_slug=""),
        )
        self._governors.accept(change, transaction)
        secret = keys.new_key()
        fields: dict[str, Any] = {
            "name": wanted.name,
            "role": wanted.role,
            "permissions": wanted.permissions,
            "organisation": place.organisation_id if place is not None else None,
            "project": (place.project_id or None) if place is not None else None,
            "expires_at": wanted.expires_at,
            "created_by": principal.id,
        }
        key = keys.add(transaction, new_id("key"), secret, fields)
        seen = SeenKey(key=key, organisation=wanted.organisation, project=wanted.project, secret=secret)
        _bind(transaction, bound, seal, seen)
        audit(transaction, change, None)
        return seen

    async def _own(self, principal: Principal, id: str) -> Key:
        """A key within the caller's reach. Raises NotFound, Forbidden."""
        key = await self._ledger.read(partial(keys.get, id=id))
        if key is None:
            raise NotFound
        target = _target(key.organisation, key.project)
        if not (await self._governors.authorise(principal, Permission.KEYS, [target]))[0]:
            if principal.organisation is not None and key.organisation != principal.organisation:
                raise NotFound
            raise Forbidden("This credential lacks the permission keys.")
        if principal.role is not None and rank(key.role) > rank(principal.role):
            raise Forbidden(f"A {principal.role} cannot change a key of the role {key.role}.")
        return key

    async def _seen(self, key: Key) -> SeenKey:
        if key.organisation is None:
            return SeenKey(key=key, organisation=None, project=None)
        if key.project is not None:
            place = await self._places.of(key.project)
            return SeenKey(key=key, organisation=place.organisation, project=place.project)
        rows = await self._ledger.read(lambda t: t.execute("builtin.name_organisation", id=key.organisation))
        return SeenKey(key=key, organisation=rows[0]["organisation"] if rows else "", project=None)

    def _audited(self, kind: str, principal: Principal, key: Key) -> Change:
        place = Place(organisation_id=key.organisation or "", organisation="", organisation_slug="", project_id=key.project or "")
        return Change(type=kind, permission=Permission.KEYS, principal=principal, place=place)


def _bind(transaction: Transaction, bound: BoundRequest | None, seal: Seal | None, seen: SeenKey) -> None:
    if bound is not None:
        answer = seal(seen) if seal is not None else None
        idempotency.bind(transaction, replace(bound, sealed_answer=answer), transaction.now)


def _target(organisation: str | None, project: str | None) -> Target:
    return Target(organisation=organisation, project=project)
