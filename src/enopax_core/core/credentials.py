"""Use cases on credentials: read (audited), rotate, tokens for one resource."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from enopax_core.builtin import tokens
from enopax_core.core.acceptance import NO_CONDITIONS, Acceptance, Accepted, Conditions, audit
from enopax_core.core.looks import Looks, Seen, target_of
from enopax_core.errors import Gone, NotFound, NotReady
from enopax_core.governors import Governors
from enopax_core.hooks import Change
from enopax_core.ledger.interface import Ledger, Transaction
from enopax_core.records.operation import Kind
from enopax_core.records.principal import Permission, Principal
from enopax_core.records.resource import ResourceRecord
from enopax_core.registry import Registry
from enopax_core.vault import Vault


class Credentials:
    """Use cases on credentials. Every face calls only these."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        registry: Registry,
        governors: Governors,
        resources: Looks,
        acceptance: Acceptance,
        vault: Vault,
    ) -> None:
        self._ledger, self._registry, self._governors = ledger, registry, governors
        self._resources, self._acceptance, self._vault = resources, acceptance, vault

    async def read(self, principal: Principal, endpoint: str, id: str) -> Mapping[str, str]:
        """The credentials of a resource; the reading is audited. Raises NotFound, Forbidden, NotReady."""
        seen = await self._resources.find(principal, endpoint, id, Permission.CREDENTIALS)
        if not seen.record.has_backend or not seen.record.live:
            raise NotReady
        change = _change("credentials.read", principal, seen)
        await self._ledger.write(lambda transaction: audit(transaction, change, id))
        return self.opened(seen.record)

    async def may_read(self, principal: Principal, record: ResourceRecord) -> bool:
        """Whether an answer to this caller may hold the credentials."""
        return (await self._governors.authorise(principal, Permission.CREDENTIALS, [target_of(record)]))[0]

    def opened(self, record: ResourceRecord) -> dict[str, Any]:
        """The credentials in a record, decrypted."""
        opened: dict[str, Any] = self._vault.open(record.sealed_credentials)
        return opened

    async def rotate(self, principal: Principal, endpoint: str, id: str, conditions: Conditions = NO_CONDITIONS) -> Accepted:
        """Accept the issue of new credentials. Raises NotFound, Forbidden, NotReady, Gone, Suspended."""
        seen = await self._resources.find(principal, endpoint, id, Permission.CREDENTIALS)
        registered = self._registry.provider(endpoint)
        if not registered.has("rotate"):
            raise NotFound(f"{registered.provider.name} does not offer rotate.")
        if not seen.record.has_backend:
            raise NotReady
        change = _change(Kind.ROTATE, principal, seen)
        await self._governors.admit(change)
        return await self._acceptance.queue(change, registered, conditions)

    async def make_token(self, principal: Principal, endpoint: str, id: str) -> tuple[str, datetime]:
        """A short-lived token for a resource's custom endpoints and event streams. Raises NotFound, Forbidden, Gone."""
        seen = await self._resources.find(principal, endpoint, id, Permission.OPERATE)
        if not seen.record.live:
            raise Gone
        change = _change("token.create", principal, seen)

        def write(transaction: Transaction) -> tuple[str, datetime]:
            audit(transaction, change, id)
            return tokens.add(transaction, seen.record, principal)

        return await self._ledger.write(write)


def _change(kind: str, principal: Principal, seen: Seen) -> Change:
    return Change(
        type=kind,
        permission=Permission.CREDENTIALS,
        principal=principal,
        place=seen.place,
        endpoint=seen.record.endpoint,
        before=seen.record,
    )
