"""SHA-256 fingerprints of public keys, as `ssh-keygen -l` shows them."""

from __future__ import annotations

import base64
import binascii
import hashlib


def fingerprint(public_key: str) -> str | None:
    """SHA-256 fingerprint of an OpenSSH public key line, as `ssh-keygen -l` shows it; None: it is none."""
    parts = public_key.split()
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (IndexError, binascii.Error, ValueError):
        return None
    return fingerprint_of(blob)


def fingerprint_of(blob: bytes) -> str:
    """SHA-256 fingerprint of a public key's blob."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
