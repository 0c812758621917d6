"""What the ledger offers to everything above it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from enopax_core.records.event import Event

T = TypeVar("T")
Row = Mapping[str, Any]


class Transaction(Protocol):
    """An open transaction: plain calls in the ledger's own thread, so that nothing in it can wait for anything else."""

    @property
    def now(self) -> datetime:
        """The time of this transaction."""

    @property
    def events(self) -> list[Event]:
        """Events added so far: handed to the listeners once the transaction is durable."""

    def execute(self, query: str, **parameters: object) -> Sequence[Row]:
        """Run a named query (`finish_operation`, or `section.name` for a plugin's) and return its rows.

        Parameters are str, int, float, bytes, bool, None; moments as `clock.rfc3339` writes them.
        Raises: LookupError for an unknown query; UniqueViolation.
        """


class UniqueViolation(Exception):
    """A row with this key exists; `columns` are those of the violated index, as `table.column`."""

    def __init__(self, columns: str) -> None:
        super().__init__(columns)
        self.columns = columns


class Ledger(Protocol):
    """The database. `write` and `read` take plain functions; they may be run again, so they touch nothing else."""

    async def write(self, function: Callable[[Transaction], T], *, durable: bool = True) -> T:
        """Run a function in a transaction; return once it is durable. What it raises rolls back and is raised here.

        With `durable=False` it survives a kill of the process at once, a power cut only with the next durable one: enough
        for claims, heartbeats and progress, which a power cut voids anyway.
        """

    async def read(self, function: Callable[[Transaction], T]) -> T:
        """Run a function on a consistent snapshot; it must not change anything."""

    async def copy(self, target: Path) -> None:
        """Write the whole database, as of one moment, into a new file, while others go on writing.

        Raises StartupError where this ledger is backed up by other means.
        """

    def listen(self, listener: Callable[[Sequence[Event]], None]) -> None:
        """Call a plain function in the event loop with the events of every durable transaction, in commit order."""


@dataclass(frozen=True, kw_only=True)
class Tables:
    """What a plugin adds to the ledger: numbered migrations and named queries.

    `folder` holds `migrations/0001_name.sql` … and `queries/*.sql`; queries are called as `section.name`.
    """

    section: str
    folder: Traversable = field(repr=False)
