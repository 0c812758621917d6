"""What is known about a resource's backend, with reason and time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Truth = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One statement about a resource: Ready, Synced, BackedUp …"""

    type: str
    status: Truth
    reason: str
    message: str = ""
    since: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """A named reason for which a resource is suspended; several may coexist."""

    name: str
    reason: str
    since: datetime
