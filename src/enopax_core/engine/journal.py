"""What an attempt writes before its end: fenced, like everything a running attempt writes."""

from __future__ import annotations

from typing import Any

from enopax_core.engine import transitions
from enopax_core.engine.attempt import Attempt, Stop
from enopax_core.errors import LeaseLost
from enopax_core.ledger import operations, resources
from enopax_core.ledger.interface import Ledger, Transaction
from enopax_core.provider.values import Outcome
from enopax_core.vault import Vault


class LedgerJournal:
    """Stores announcements and steps in the ledger."""

    def __init__(self, ledger: Ledger, vault: Vault) -> None:
        self._ledger, self._vault = ledger, vault

    async def announce(self, attempt: Attempt, outcome: Outcome) -> None:
        """See Journal."""

        def write(transaction: Transaction) -> bool:
            current = operations.fenced(transaction, attempt.record)
            if current is None or current.resource is None:
                return False
            before = resources.get(transaction, current.resource)
            if before is not None:
                after = transitions.with_outcome(before, outcome, self._vault)
                waiting = transitions.types(operations.line(transaction, current.subject))
                resources.save(transaction, transitions.touched(before, after, waiting, transaction.now))
            return True

        if not await self._ledger.write(write):
            self._lost(attempt)

    async def save_step(self, attempt: Attempt, name: str, result: Any) -> None:
        """See Journal."""

        def write(transaction: Transaction) -> bool:
            if operations.fenced(transaction, attempt.record) is None:
                return False
            operations.save_step(transaction, attempt.id, name, self._vault.seal({"result": result}))
            return True

        if not await self._ledger.write(write):
            self._lost(attempt)

    def _lost(self, attempt: Attempt) -> None:
        attempt.stop(Stop.LOST)
        raise LeaseLost
