"""Ports of this machine for services."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Mapping
from functools import partial
from itertools import chain

from enopax_core.errors import TemporaryError
from enopax_core.ledger import ports
from enopax_core.ledger.interface import Ledger, Transaction, UniqueViolation


class Ports:
    """Gives ports from a range; a number that was given belongs to its owner until it is released."""

    def __init__(self, ledger: Ledger, numbers: range) -> None:
        self._ledger, self._numbers = ledger, numbers

    async def allocate(self, owner: str, name: str) -> int:
        """The owner's port of this name: the one it has, or a new one that nothing listens on. Raises TemporaryError."""

        def read(transaction: Transaction) -> tuple[int | None, frozenset[int], int | None]:
            own = {record.name: record.number for record in ports.of_owner(transaction, owner)}
            return own.get(name), ports.not_to_give(transaction), ports.latest(transaction)

        while True:
            own, taken, latest = await self._ledger.read(read)
            if own is not None:
                return own
            number = self._search(taken, latest)
            with contextlib.suppress(UniqueViolation):  # asked for twice at once: the next look finds the other's
                if await self._ledger.write(partial(ports.take, number=number, owner=owner, name=name)):
                    return number

    async def of(self, owner: str) -> Mapping[str, int]:
        """The owner's ports by name."""
        return {record.name: record.number for record in await self._ledger.read(partial(ports.of_owner, owner=owner))}

    async def release(self, owner: str, name: str | None = None) -> None:
        """Give a port back, or all that the owner has; repeatable."""
        await self._ledger.write(partial(ports.release, owner=owner, name=name))

    def _search(self, taken: frozenset[int], latest: int | None) -> int:
        if latest is not None and latest in self._numbers:
            first = self._numbers.index(latest) + 1
        else:  # anywhere, so that two installations on one machine do not want the same ones
            first = secrets.randbelow(len(self._numbers))
        for number in chain(self._numbers[first:], self._numbers[:first]):
            if number not in taken and is_free(number):
                return number
        raise TemporaryError(f"No port from {self._numbers[0]} to {self._numbers[-1]} is free: widen [runtime] ports.")


def is_free(number: int) -> bool:
    """Whether nothing uses a port, on any address, over TCP or UDP; connections that end slowly count as use."""
    families = (socket.AF_INET, socket.AF_INET6) if socket.has_dualstack_ipv6() else (socket.AF_INET,)
    for family in families:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(family, kind) as probe:
                if family is socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                try:
                    probe.bind(("", number))
                except OSError:
                    return False
    return True
