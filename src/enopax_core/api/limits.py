"""How many requests a key may make: a token bucket in memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from ipaddress import ip_address

from enopax_core.errors import TooManyRequests

CREDENTIALS = 10_000  # remembered at a time


class RateLimit:
    """`rate` requests a second for each credential, with bursts; none for clients on loopback unless asked for."""

    def __init__(self, rate: float, burst: int, *, loopback: bool) -> None:
        self._rate, self._burst, self._loopback = rate, burst, loopback
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens left, as of when

    def take(self, credential: str, address: str) -> None:
        """Count a request. Raises TooManyRequests."""
        if not self._loopback and is_loopback(address):
            return
        now = time.monotonic()
        left, since = self._buckets.get(credential, (float(self._burst), now))
        left = min(float(self._burst), left + (now - since) * self._rate)
        if left < 1:
            self._buckets[credential] = (left, now)
            raise TooManyRequests(retry_after=(1 - left) / self._rate)
        self._buckets[credential] = (left - 1, now)
        self._buckets.move_to_end(credential)
        while len(self._buckets) > CREDENTIALS:
            self._buckets.popitem(last=False)


def is_loopback(address: str) -> bool:
    """Whether a client is on this machine; a Unix socket has no address and is."""
    try:
        return not address or ip_address(address).is_loopback
    except ValueError:
        return False
