"""Use cases on the audit log: read a project's, verify and export the installation's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial

from enopax_core.core.places import Places
from enopax_core.events.audit import Verification
from enopax_core.governors import Governors
from enopax_core.ledger import audit
from enopax_core.ledger.audit import Wanted
from enopax_core.ledger.interface import Ledger, Transaction
from enopax_core.records.audit import Anchor, AuditEntry
from enopax_core.records.place import Target
from enopax_core.records.principal import Permission, Principal

PAGE = 1000
ANY = Wanted()


class Audit:
    """Use cases on the audit log. Every face calls only these."""

    def __init__(self, *, ledger: Ledger, governors: Governors, places: Places) -> None:
        self._ledger, self._governors, self._places = ledger, governors, places

    async def page(
        self, principal: Principal, organisation: str, project: str, *, after: int, size: int, wanted: Wanted = ANY
    ) -> tuple[Sequence[AuditEntry], int | None]:
        """One page of a project's entries, oldest first, and the position behind which the next one begins. Raises Forbidden."""
        place = await self._places.allowed(principal, organisation, project, Permission.AUDIT)
        if place.new:
            return (), None
        read = partial(
            audit.page,
            organisation=place.organisation_id,
            project=place.project_id,
            after=after,
            size=size + 1,
            wanted=wanted,
        )
        found = await self._ledger.read(read)
        return found[:size], found[size - 1].position if len(found) > size else None

    async def export(self, principal: Principal, *, after: int = 0) -> AsyncIterator[Sequence[AuditEntry]]:
        """Every entry of the installation behind a position, page by page. Raises Forbidden before the first."""
        await self._governors.require(principal, Permission.ADMIN, Target())
        return self._pages(after)

    async def verify(self, principal: Principal, anchors: Sequence[Anchor] = ()) -> Verification:
        """Whether the log is what was written. Raises Forbidden."""
        await self._governors.require(principal, Permission.ADMIN, Target())
        return await verify(self._ledger, anchors)

    async def _pages(self, after: int) -> AsyncIterator[Sequence[AuditEntry]]:
        while page := await self._ledger.read(partial(audit.everything, after=after, size=PAGE)):
            yield page
            after = page[-1].position


async def verify(ledger: Ledger, anchors: Sequence[Anchor] = ()) -> Verification:
    """Read the whole log, page by page, while others go on writing."""
    verification = Verification(anchors=anchors)

    def read(transaction: Transaction) -> tuple[Sequence[AuditEntry], Anchor]:
        after = verification.head.position if verification.head is not None else 0
        return audit.everything(transaction, after=after, size=PAGE), audit.head(transaction)

    while True:
        page, head = await ledger.read(read)
        verification.take(page)
        if len(page) < PAGE:  # the last entries and the head are of the same moment
            verification.finish(head)
            return verification
