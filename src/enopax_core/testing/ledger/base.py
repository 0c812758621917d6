"""What the tests of a ledger share: how it is opened, and values to put into it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from enopax_core.events.recorder import new_id, record_operation
from enopax_core.ledger import events, operations
from enopax_core.ledger.events import Cursor
from enopax_core.ledger.interface import Ledger, Tables, Transaction
from enopax_core.records.operation import OperationRecord, State
from enopax_core.records.resource import ResourceRecord
from enopax_core.testing.asynchronous import Asynchronous

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Undone(Exception):
    """Raised inside a transaction to roll it back."""


def resource(name: str = "one", *, project: str = "p1", id: str = "") -> ResourceRecord:
    """A resource to store."""
    return ResourceRecord(
        id=id or new_id("r"),
        endpoint="kit",
        organisation="o1",
        project=project,
        name=name,
        created_at=MOMENT,
        updated_at=MOMENT,
    )


def operation(transaction: Transaction, subject: str = "r-1", due: timedelta = timedelta()) -> OperationRecord:
    """A stored operation at the end of its subject's line, due so much after now, with its event."""
    record = OperationRecord(
        id=new_id("op"),
        type="provision",
        subject=subject,
        resource=subject,
        endpoint="kit",
        organisation="o1",
        project="p1",
        due_at=transaction.now + due,
        created_at=transaction.now,
    )
    return record_operation(transaction, record)


def claim(transaction: Transaction, id: str, owner: str = "w-1", lease: timedelta = HOUR) -> OperationRecord | None:
    """Claim for a worker, with a lease from now on."""
    return operations.claim(transaction, id, owner=owner, lease_until=transaction.now + lease)


def due(transaction: Transaction) -> list[str]:
    """Ids of operations that could be claimed now."""
    return operations.due_heads(transaction, endpoints=["kit"], size=10)


def finish(transaction: Transaction, record: OperationRecord) -> OperationRecord:
    """End an operation."""
    return record_operation(transaction, replace(record, state=State.SUCCEEDED, owner=None, lease_until=None))


def count_up(transaction: Transaction, consumer: str = "counter") -> int:
    """Add one to a number that is read first: two at the same time must not read the same."""
    found = events.cursor(transaction, consumer)
    number = 1 if found is None else found.position + 1
    events.set_cursor(transaction, Cursor(consumer=consumer, position=number))
    return number


async def together(*calls: Callable[[], object]) -> None:
    """Run coroutine functions at the same time."""
    async with anyio.create_task_group() as group:
        for call in calls:
            group.start_soon(call)  # type: ignore[arg-type]  # each returns an awaitable, of whatever type


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something has come about: looked at again and again, decided by nothing but itself."""
    with anyio.fail_after(60):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event
            await anyio.sleep(0.005)


class LedgerTests(Asynchronous):
    """Base of all of them."""

    def open(self, place: Path, tables: Sequence[Tables] = ()) -> AbstractAsyncContextManager[Ledger]:
        """The ledger that belongs to a place, an empty directory at first; the same place again is the same database.

        It may be open twice at a time, as by two servers.
        """
        raise NotImplementedError("Say how your ledger is opened.")

    @pytest.fixture
    async def ledger(self, tmp_path: Path) -> AsyncIterator[Ledger]:
        """An open ledger with nothing in it."""
        async with self.open(tmp_path) as ledger:
            yield ledger
