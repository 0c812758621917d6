"""Credentials that callers carry: made once, shown once, kept as a hash."""

from __future__ import annotations

import hashlib
import secrets


def new_secret(prefix: str) -> str:
    """256 random bits behind a prefix that says what it is: `enx_key_…`."""
    return f"{prefix}{secrets.token_urlsafe(32)}"


def hashed(secret: str) -> str:
    """SHA-256: what has 256 random bits needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()
