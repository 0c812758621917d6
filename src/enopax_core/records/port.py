"""A port of this machine that was given to a service."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class PortRecord:
    """One allocated port."""

    number: int
    owner: str  # a resource's or a service's id
    name: str  # what the owner calls it
    allocated_at: datetime
