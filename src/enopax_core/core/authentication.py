"""Who presents a credential: the plugins' answer, remembered for a moment; whoever guesses is slowed down."""

from __future__ import annotations

from enopax_core.clock import Clock
from enopax_core.core.failures import Failures
from enopax_core.core.recent import Recent
from enopax_core.governors import Governors
from enopax_core.records.principal import Presented, Principal

PRINCIPAL_SECONDS = 1.0
"""How long another server may go on with a credential that was revoked here."""


class Authentication:
    """The one way in for every face: HTTP, SSH and whatever plugins add."""

    def __init__(self, governors: Governors, clock: Clock) -> None:
        self._governors, self._clock = governors, clock
        self._failures = Failures()
        self._principals: Recent[Presented, Principal] = Recent(PRINCIPAL_SECONDS)

    async def __call__(self, presented: Presented) -> Principal:
        """Who this is. Raises Unauthenticated, TooManyRequests."""
        principal = self._principals.get(presented)
        if principal is None or (principal.expires_at is not None and principal.expires_at <= self._clock()):
            principal = await self.fresh(presented)
            self._principals.put(presented, principal)
        return principal

    async def fresh(self, presented: Presented) -> Principal:
        """The same without remembering, for credentials whose end nobody tells the core. Raises as above."""
        return await self._failures.watched(presented, self._governors.authenticate)

    def forget(self) -> None:
        """A credential stopped being valid: ask again."""
        self._principals.clear()
