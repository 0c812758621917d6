"""Encryption of secrets at rest. Fernet (AES-128-CBC with HMAC-SHA-256) of `cryptography`, several keys at a time.

The key file holds one key a line, the newest first: that one encrypts, all of them decrypt. Rotating puts a new key in
front; once everything was sealed again (`enopax rotate-secrets`), the old lines go.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from enopax_core.errors import VaultError
from enopax_core.files import write_private


class Vault:
    """Seals JSON values with the newest key of a file and opens them with any."""

    def __init__(self, path: Path) -> None:
        """Read the keys, or make the first one (mode 0600). Raises VaultError if the file holds no usable key."""
        self.path = path
        self._retired: list[bytes] = []
        if not path.exists():
            write_private(path, Fernet.generate_key() + b"\n")
        self._load()

    def seal(self, value: Any) -> bytes | None:
        """Encrypt a JSON value; nothing stays nothing."""
        if value is None or value == {}:
            return None
        return self._fernet.encrypt(json.dumps(value, separators=(",", ":")).encode())

    def open(self, sealed: bytes | None) -> Any:
        """Decrypt; `{}` where there was nothing. Raises VaultError."""
        if sealed is None:
            return {}
        try:
            return json.loads(self._fernet.decrypt(sealed))
        except InvalidToken as error:
            raise VaultError(
                f"A secret cannot be decrypted with the keys in {self.path.name}: put back the key file it was written with."
            ) from error

    def reseal(self, sealed: bytes) -> bytes:
        """The same secret under the newest key."""
        return self._fernet.rotate(sealed)

    def renewed(self, sealed: bytes | None) -> bytes | None:
        """What was sealed a moment ago, as it may be written now: a rotation may have come in between."""
        rotating = self._retired or len(self._keys) > 1
        return self.reseal(sealed) if sealed is not None and rotating else sealed

    @property
    def keys(self) -> int:
        """How many keys the file holds: more than one while secrets are being sealed again."""
        return len(self._keys)

    def add_key(self) -> None:
        """Put a new key in front; everything already sealed stays readable."""
        self._write([Fernet.generate_key(), *self._keys])
        self._load()

    def drop_old_keys(self) -> None:
        """Forget every key but the newest. Only after everything was sealed again.

        They open what is still under way in this process (`renewed`), and nothing after it.
        """
        self._retired += self._keys[1:]
        self._write(self._keys[:1])
        self._load()

    def _load(self) -> None:
        self._keys = self.path.read_bytes().split()
        try:
            self._fernet = MultiFernet([Fernet(key) for key in (*self._keys, *self._retired)])
        except ValueError as error:
            raise VaultError(f"{self.path} holds no usable key.") from error

    def _write(self, keys: list[bytes]) -> None:
        write_private(self.path, b"\n".join(keys) + b"\n")  # durable before it counts: losing a key loses every secret under it
