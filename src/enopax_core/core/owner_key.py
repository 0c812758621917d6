"""`owner.key`: the owner's API key in a file, for commands on this machine. It follows the key when that is rotated.

A new secret is written beside the file before it is valid, and takes the file's place afterwards. Whenever the process is
killed, one of the two files holds the key, and the next start keeps that one.
"""

from __future__ import annotations

import logging
from pathlib import Path

from enopax_core.builtin import keys
from enopax_core.files import write_private
from enopax_core.ledger.interface import Transaction

log = logging.getLogger(__name__)


class OwnerKeyFile:
    """The file of one installation. Every method runs in a transaction, so that nobody changes the key meanwhile; it blocks."""

    def __init__(self, path: Path) -> None:
        self._path, self._next = path, path.with_name(f"{path.name}.next")

    def create(self, secret: str) -> None:
        """Write the first secret. Raises OSError."""
        write_private(self._path, _line(secret))

    def holds(self, transaction: Transaction, id: str) -> bool:
        """Whether the secret of a key is the one in the file, or about to be."""
        return any(_key_in(path, transaction) == id for path in (self._path, self._next))

    def prepare(self, secret: str) -> None:
        """Keep the secret that is about to become valid. Raises OSError."""
        write_private(self._next, _line(secret))

    def settle(self, transaction: Transaction) -> None:
        """Put the prepared secret in place if it became valid, else forget it."""
        try:
            if _key_in(self._next, transaction) is None:
                self._next.unlink(missing_ok=True)
            else:
                self._next.replace(self._path)
        except OSError:  # the key is changed already, and whoever changed it waits for the secret
            log.exception("%s could not be replaced: the next start tries again.", self._path)


def _line(secret: str) -> bytes:
    return secret.encode() + b"\n"


def _key_in(path: Path, transaction: Transaction) -> str | None:
    """The id of the key whose secret a file holds; None where there is none that is valid."""
    try:
        secret = path.read_text("utf-8", errors="replace").strip()
    except OSError:  # taken away, or kept from this process: then it is not ours to change
        return None
    key = keys.find(secret, transaction)
    return None if key is None else key.id
