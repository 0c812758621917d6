"""Who did what: entries that are each tied to the one before by its hash."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from enopax_core.clock import parse, rfc3339

ANCHOR = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditEntry:
    """Written in the transaction that did it."""

    position: int = 0  # 1, 2, 3 … without a gap
    at: datetime
    principal: str
    credential: str
    action: str
    organisation: str | None = None
    project: str | None = None
    resource: str | None = None
    detail: Mapping[str, Any] | None = None
    previous: str | None = None  # hash of the entry before; "" for the first, None from before there was a chain
    hash: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The entry as an export holds it, hash included."""
        return {**self.covered(), "hash": self.hash}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> AuditEntry:
        """An entry out of an export. Raises ValueError, KeyError, TypeError."""
        return cls(**{**value, "at": parse(value["at"])})

    def covered(self) -> dict[str, Any]:
        """Everything that the hash covers: all fields but the hash itself."""
        return {
            "position": self.position,
            "at": rfc3339(self.at),
            "principal": self.principal,
            "credential": self.credential,
            "action": self.action,
            "organisation": self.organisation,
            "project": self.project,
            "resource": self.resource,
            "detail": None if self.detail is None else dict(self.detail),
            "previous": self.previous,
        }

    def digest(self) -> str:
        """SHA-256 of the canonical form: JSON with sorted names, no spaces, ASCII alone, absent fields as null."""
        canonical = json.dumps(self.covered(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Anchor:
    """An entry by position and hash: kept elsewhere, it shows later whether everything up to it is as it was."""

    position: int
    hash: str

    def __str__(self) -> str:
        return f"{self.position}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Anchor:
        """An anchor as `str` writes it. Raises ValueError."""
        match = ANCHOR.fullmatch(text)
        if match is None:
            raise ValueError("An anchor is a position and a hash: 123:0f4c… (64 hexadecimal digits).")
        return cls(position=int(match[1]), hash=match[2])
