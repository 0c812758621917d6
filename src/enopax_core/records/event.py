"""Something that happened, append-only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One entry of the log; the outbox of plugins and the source of every stream."""

    position: int = 0  # in the whole log, in commit order; 0: not stored yet
    id: str
    type: str  # `operation.succeeded`, `operation.progress`, `resource.suspended` …
    operation: str | None
    resource: str | None
    organisation: str | None
    project: str | None
    sequence: int  # 1, 2, 3 … within the operation
    at: datetime
    data: Mapping[str, Any]
