"""Slows down whoever guesses credentials: twenty failed attempts a minute for each address."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable

from enopax_core.errors import TooManyRequests, Unauthenticated
from enopax_core.records.principal import Presented, Principal

ALLOWED, WINDOW = 20, 60.0
ADDRESSES = 10_000  # remembered at a time


class Failures:
    """Remembers failed attempts in memory."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    async def watched(self, presented: Presented, authenticate: Callable[[Presented], Awaitable[Principal]]) -> Principal:
        """Authenticate unless the address has failed too often. Raises TooManyRequests, Unauthenticated."""
        if presented.empty or presented.ssh_key:  # nothing was guessed: SSH clients offer every key they have
            return await authenticate(presented)
        now = time.monotonic()
        failed = self._failed.get(presented.address)
        if failed is not None:
            while failed and failed[0] <= now - WINDOW:
                failed.popleft()
            if len(failed) >= ALLOWED:
                raise TooManyRequests(
                    "Too many failed attempts to sign in from this address.", retry_after=failed[0] + WINDOW - now
                )
        try:
            return await authenticate(presented)
        except Unauthenticated:
            self._failed.setdefault(presented.address, deque(maxlen=ALLOWED)).append(now)
            self._failed.move_to_end(presented.address)
            while len(self._failed) > ADDRESSES:
                self._failed.popitem(last=False)
            raise
