"""Encryption of secrets at rest. Fernet (AES-128-CBC with HMAC-SHA-256) of `cryptography`, several keys at a time.

The key file holds one key a line, the newest first: that one encrypts, all of them decrypt. Rotating puts a new key in
front; once everything was sealed again (`enopax rotate-secrets`), the old lines go.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from enopax_core.errors import VaultError


class Vault:
    """Seals JSON values with the newest key of a file and opens them with any."""

    def __init__(self, path: Path) -> None:
        """Read the keys, or make the first one (mode 0600). Raises VaultError if the file holds no usable key."""
        self.path = path
        if not path.exists():
            _write(path, [Fernet.generate_key()])
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

    @property
    def keys(self) -> int:
        """How many keys the file holds: more than one while secrets are being sealed again."""
        return len(self._keys)

    def add_key(self) -> None:
        """Put a new key in front; everything already sealed stays readable."""
        _write(self.path, [Fernet.generate_key(), *self._keys])
        self._load()

    def drop_old_keys(self) -> None:
        """Forget every key but the newest. Only after everything was sealed again."""
        _write(self.path, self._keys[:1])
        self._load()

    def _load(self) -> None:
        self._keys = self.path.read_bytes().split()
        try:
            self._fernet = MultiFernet([Fernet(key) for key in self._keys])
        except ValueError as error:
            raise VaultError(f"{self.path} holds no usable key.") from error


def _write(path: Path, keys: list[bytes]) -> None:
    """Replace the file in one step, durable before it counts: losing a key loses every secret under it."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(b"\n".join(keys) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
