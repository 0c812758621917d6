"""The settable clock: schedules, retention and expiry read it, so that tests can move it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Gives the present time, aware, in UTC."""


def utc_now() -> datetime:
    """The clock of the machine."""
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """A moment as the wire and the database write it: UTC, microseconds, `Z`; sorts as text."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def parse(text: str) -> datetime:
    """A moment written by `rfc3339`; raises ValueError."""
    return datetime.fromisoformat(text)
