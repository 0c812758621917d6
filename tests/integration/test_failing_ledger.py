"""A ledger that fails for a moment: nothing ends because of it, and what could not be written then is done afterwards."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.integration.conftest import House, opened

from enopax_core import Event, hookimpl
from enopax_core.events import outbox
from enopax_core.records.operation import State

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _soon() -> Iterator[None]:
    """A ledger that failed is asked again without a long pause."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, "LEDGER_WAIT", 0.01)
        yield


@contextlib.asynccontextmanager
async def locked(house: House) -> AsyncIterator[None]:
    """In this block SQLite itself refuses every change, because somebody else holds the database."""
    await house.core.ledger.write(_impatient)
    with contextlib.closing(sqlite3.connect(house.core.ledger.path, isolation_level=None, timeout=60)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def _impatient(transaction: Any) -> None:
    """Refuses at once what it would otherwise refuse after ten seconds."""
    transaction._connection.execute("PRAGMA busy_timeout=0")


class Reader:
    """Consumes events, each behind a gate."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.gate = anyio.Event()

    @hookimpl
    async def enopax_event(self, event: Event) -> None:
        self.events.append(event)
        await self.gate.wait()


async def test_events_go_on_after_their_cursor_could_not_be_written(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    reader = Reader()
    async with opened(data_dir, reader) as house:
        first = await house.make()
        await house.until(lambda: reader.events)
        async with locked(house):
            reader.gate.set()
            await house.until(lambda: "their cursor not be written" in caplog.text)
        second = await house.make("two")
        await house.until(lambda: reader.events[-1].type == "operation.succeeded" and reader.events[-1].resource == second["id"])
    positions = {event.position for event in reader.events}
    assert positions == set(range(min(positions), max(positions) + 1))
    assert {event.resource for event in reader.events} >= {first["id"], second["id"]}


async def test_an_operation_whose_end_could_not_be_written_is_taken_up_again(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    gate = house.workshop.close("provision")
    operation = (await house.begin())["operation"]
    await house.workshop.entered["provision"].wait()
    async with locked(house):
        gate.set()
        await house.until(lambda: f"The operation {operation} could not be run now" in caplog.text)
    house.hands.move(minutes=1)  # its lease runs out
    ended = await house.ended(operation)
    assert (ended.state, ended.attempt) == (State.SUCCEEDED, 2)
