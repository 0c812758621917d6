"""Events, who listens to them, and how far consumers have come."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
import pytest

from enopax_core.events.recorder import record_progress
from enopax_core.ledger import events, operations
from enopax_core.ledger.events import Cursor
from enopax_core.ledger.interface import Ledger, Transaction
from enopax_core.records.event import Event
from enopax_core.records.operation import Progress
from enopax_core.testing.ledger.base import HOUR, LedgerTests, Undone, operation, together, until


class Log(LedgerTests):
    """What streams and the outbox stand on."""

    async def test_listeners_get_the_events_of_every_transaction_in_the_order_of_their_positions(self, ledger: Ledger) -> None:
        heard: list[Event] = []
        ledger.listen(heard.extend)

        async def write(number: int) -> None:
            await ledger.write(partial(operation, subject=f"r-{number}"))

        await together(*(partial(write, number) for number in range(30)))
        await until(lambda: len(heard) >= 30)
        stored = await ledger.read(partial(events.everything, after=0, size=100))
        assert heard == stored
        assert [event.position for event in heard] == sorted({event.position for event in heard})

    async def test_a_transaction_that_was_undone_left_no_event_and_told_nobody(self, ledger: Ledger) -> None:
        heard: list[Event] = []
        ledger.listen(heard.extend)

        def write(transaction: Transaction) -> None:
            operation(transaction, "r-undone")
            raise Undone

        with pytest.raises(Undone):
            await ledger.write(write)
        kept = await ledger.write(operation)
        await until(lambda: bool(heard))
        assert {event.operation for event in heard} == {kept.id}
        assert heard == await ledger.read(partial(events.everything, after=0, size=100))

    async def test_who_reads_on_from_the_last_position_misses_no_event(self, ledger: Ledger) -> None:
        """Positions follow the order of commits: a later commit never carries a smaller one."""
        read: list[Event] = []
        writing = True

        async def write(worker: int) -> None:
            for number in range(10):
                await ledger.write(partial(operation, subject=f"r-{worker}-{number}"))

        async def follow() -> None:
            while True:
                goes_on = writing  # looked at first: what was written before it turned is in the page that follows
                page = await ledger.read(partial(events.everything, after=read[-1].position if read else 0, size=7))
                read.extend(page)
                if not page and not goes_on:
                    return

        async with anyio.create_task_group() as group:
            group.start_soon(follow)
            await together(*(partial(write, worker) for worker in range(5)))
            writing = False
        assert len({event.operation for event in read}) == 50
        assert [event.position for event in read] == sorted({event.position for event in read})

    async def test_an_operations_events_are_numbered_from_one(self, ledger: Ledger) -> None:
        queued = await ledger.write(operation)

        def report(transaction: Transaction) -> None:
            reports = [Progress(stage="allocate", percent=20), Progress(stage="verify", percent=80)]
            operations.save(transaction, record_progress(transaction, queued, reports))

        await ledger.write(report)
        found = await ledger.read(partial(events.of_operation, operation=queued.id, after=0, size=10))
        assert [event.sequence for event in found] == [1, 2, 3]
        assert found[2].data["progress"] == {"stage": "verify", "percent": 80, "message": ""}
        assert await ledger.read(partial(events.of_project, project="p1", after=found[1].position, size=10)) == found[2:]
        assert await ledger.read(events.last_position) == found[-1].position

    async def test_a_consumer_goes_on_where_its_cursor_stands(self, tmp_path: Path) -> None:
        cursor = Cursor(consumer="a", position=3, failures=2, error="TimeoutError")
        async with self.open(tmp_path) as ledger:
            assert await ledger.read(partial(events.cursor, consumer="a")) is None
            await ledger.write(partial(events.set_cursor, cursor=Cursor(consumer="a", position=1)))
            await ledger.write(partial(events.set_cursor, cursor=cursor))
        async with self.open(tmp_path) as ledger:
            assert await ledger.read(partial(events.cursor, consumer="a")) == cursor
            assert await ledger.read(events.cursors) == [cursor]

    async def test_an_event_is_kept_until_every_consumer_has_seen_it(self, ledger: Ledger) -> None:
        for _ in range(3):
            await ledger.write(operation)
        first, second, third = await ledger.read(partial(events.everything, after=0, size=10))
        for consumer, position in (("fast", third.position), ("slow", first.position)):
            await ledger.write(partial(events.set_cursor, cursor=Cursor(consumer=consumer, position=position)))
        await ledger.write(lambda transaction: events.drop_older(transaction, transaction.now + HOUR))
        assert await ledger.read(partial(events.everything, after=0, size=10)) == [second, third]
