"""What an examination of an installation finds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["ok", "warning", "error"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check has found."""

    check: str  # its name
    severity: Severity
    message: str  # a sentence; never a secret
    remedy: str = ""  # the command that mends it

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)
