"""Bodies and answers of the provider's own endpoints."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import AwareDatetime, Field, model_validator

from enopax_core.errors import NotFound
from enopax_core.provider import Config
from enopax_postgres.backups.catalogue import Backup


def absent(value: object) -> bool:
    """What is None stays out of answers."""
    return value is None


class Backups(Config):
    """What there is, and which moments can be recovered."""

    backups: tuple[Backup, ...]
    earliest: datetime | None = Field(default=None, exclude_if=absent)
    latest: datetime | None = Field(default=None, exclude_if=absent)


class RecoverRequest(Config):
    """Where to, and as what. Without time and backup: everything that is committed by now."""

    name: str | None = Field(default=None, min_length=1, max_length=100, description="Name of the new resource.")
    time: AwareDatetime | None = Field(default=None, description="Moment, with time zone.")
    backup: str | None = Field(default=None, description="Id of a backup, for its end.")
    in_place: bool = Field(default=False, description="Replace this database's content instead of making a new resource.")

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if self.time is not None and self.backup is not None:
            raise ValueError("time and backup exclude each other")
        if (self.name is None) != self.in_place:
            raise ValueError("give either a name for the new resource, or inPlace")
        return self

    def origin(self, resource: str) -> dict[str, Any]:
        """The `recoverFrom` of a new resource."""
        found = {"resource": resource, "time": self.time and self.time.isoformat(), "backup": self.backup}
        return {name: value for name, value in found.items() if value is not None}


class Recovered(Config):
    """The resource that holds what was recovered."""

    id: str
    name: str


DUMPS = {"custom": "dump", "plain": "sql"}
"""Formats of a dump, and how their files' names end."""


def dump_suffix(format: str) -> str:
    """How the name of a dump ends. Raises NotFound for a format that there is not."""
    if format not in DUMPS:
        raise NotFound(f"There is no format {format}: it is custom (for pg_restore) or plain (SQL).")
    return DUMPS[format]


class Done(Config):
    """What has been done."""

    message: str


class Query(Config):
    """A query as the server has seen it; `$1` and so on stand for values."""

    query: str
    calls: int
    total_seconds: float
    mean_seconds: float
    longest_seconds: float
    rows: int


class Insights(Config):
    """Queries since the statistics began."""

    since: datetime
    by_total_time: tuple[Query, ...]
    slowest: tuple[Query, ...]
