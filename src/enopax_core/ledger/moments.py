"""Optional moments as columns."""

from __future__ import annotations

from datetime import datetime

from enopax_core.clock import parse, rfc3339


def moment(column: str | None) -> datetime | None:
    """The moment in a column that may be empty."""
    return None if column is None else parse(column)


def text(value: datetime | None) -> str | None:
    """The column of a moment that may be missing."""
    return None if value is None else rfc3339(value)
