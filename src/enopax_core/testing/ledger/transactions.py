"""Writing, reading, and keys that nobody else may have."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from enopax_core.errors import NameTaken, NotOpen
from enopax_core.ledger import events, resources
from enopax_core.ledger.events import Cursor
from enopax_core.ledger.interface import Ledger, Transaction, UniqueViolation
from enopax_core.records.resource import ResourceRecord
from enopax_core.testing.ledger.base import LedgerTests, Undone, count_up, resource, together


class Transactions(LedgerTests):
    """What every use case stands on."""

    # ── Transactions ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_what_was_written_is_there_after_the_next_opening(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as ledger:
            stored = await ledger.write(partial(resources.add, record=resource()))
        async with self.open(tmp_path) as ledger:
            assert await ledger.read(partial(resources.get, id=stored.id)) == stored

    async def test_what_need_not_be_durable_is_there_after_an_ordinary_closing(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as ledger:
            stored = await ledger.write(partial(resources.add, record=resource()), durable=False)
        async with self.open(tmp_path) as ledger:
            assert await ledger.read(partial(resources.get, id=stored.id)) == stored

    async def test_what_was_written_can_be_read_at_once(self, ledger: Ledger) -> None:
        for durable in (True, False):
            stored = await ledger.write(partial(resources.add, record=resource(str(durable))), durable=durable)
            assert await ledger.read(partial(resources.get, id=stored.id)) == stored

    async def test_what_a_transaction_raises_undoes_it_and_reaches_the_caller(self, ledger: Ledger) -> None:
        record = resource()

        def write(transaction: Transaction) -> None:
            resources.add(transaction, record)
            raise Undone

        with pytest.raises(Undone):
            await ledger.write(write)
        assert await ledger.read(partial(resources.get, id=record.id)) is None

    async def test_a_transaction_that_fails_takes_none_of_the_others_with_it(self, ledger: Ledger) -> None:
        stored: list[str] = []

        async def good(number: int) -> None:
            stored.append((await ledger.write(partial(resources.add, record=resource(f"n{number}")))).id)

        def fail(transaction: Transaction) -> None:
            resources.add(transaction, resource("n0"))
            raise Undone

        async def bad() -> None:
            with pytest.raises((Undone, NameTaken)):
                await ledger.write(fail)

        await together(*(partial(good, number) for number in range(10)), *[bad] * 10)
        found = await ledger.read(partial(resources.page_of_endpoint, endpoint="kit", after=0, size=100))
        assert sorted(record.id for record in found) == sorted(stored)

    async def test_transactions_at_the_same_time_do_not_overwrite_each_other(self, ledger: Ledger) -> None:
        """They may be run again for it: a function that is run twice counts once, and its last result is returned."""
        results: list[int] = []

        async def count() -> None:
            results.append(await ledger.write(count_up))

        await together(*[count] * 40)
        assert sorted(results) == list(range(1, 41))

    async def test_two_connections_to_one_database_do_not_overwrite_each_other(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as one, self.open(tmp_path) as other:
            results: list[int] = []

            async def count(ledger: Ledger) -> None:
                results.append(await ledger.write(count_up))

            await together(*[partial(count, one)] * 10, *[partial(count, other)] * 10)
            assert sorted(results) == list(range(1, 21))

    async def test_cancelling_who_waits_does_not_undo_what_is_being_committed(self, ledger: Ledger) -> None:
        record, started = resource(), threading.Event()

        def write(transaction: Transaction) -> None:
            resources.add(transaction, record)
            started.set()

        task = asyncio.create_task(ledger.write(write))
        await asyncio.to_thread(started.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await ledger.write(count_up)  # what comes behind it shows that it has ended
        assert await ledger.read(partial(resources.get, id=record.id)) is not None

    async def test_a_transaction_knows_the_time_in_utc(self, ledger: Ledger) -> None:
        now = await ledger.write(lambda transaction: transaction.now)
        assert now.utcoffset() == timedelta(0)

    async def test_a_query_that_does_not_exist_is_named(self, ledger: Ledger) -> None:
        with pytest.raises(LookupError, match="no_such_query"):
            await ledger.write(lambda transaction: transaction.execute("no_such_query"))

    async def test_a_closed_ledger_says_so(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as ledger:
            pass
        with pytest.raises(NotOpen):
            await ledger.write(count_up)

    # ── Reads ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_read_sees_one_moment(self, ledger: Ledger) -> None:
        """What is committed while a read runs does not show in it."""
        await ledger.write(count_up)
        looked, written = threading.Event(), threading.Event()

        def read(transaction: Transaction) -> tuple[Cursor | None, Cursor | None]:
            before = events.cursor(transaction, "counter")
            looked.set()
            assert written.wait(30)
            return before, events.cursor(transaction, "counter")

        async def write() -> None:
            await asyncio.to_thread(looked.wait, 30)
            await ledger.write(count_up)
            written.set()

        task = asyncio.create_task(write())
        before, after = await ledger.read(read)
        await task
        assert before == after
        now = await ledger.read(partial(events.cursor, consumer="counter"))
        assert now is not None
        assert now.position == 2

    async def test_a_read_cannot_change_anything(self, ledger: Ledger) -> None:
        with pytest.raises(Exception):  # noqa: B017  # which one is the driver's business
            await ledger.read(count_up)
        assert await ledger.read(partial(events.cursor, consumer="counter")) is None

    # ── Keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_name_is_held_by_one_live_resource_of_a_project(self, ledger: Ledger) -> None:
        first = await ledger.write(partial(resources.add, record=resource("one")))
        with pytest.raises(NameTaken):
            await ledger.write(partial(resources.add, record=resource("one")))
        await ledger.write(partial(resources.add, record=resource("one", project="p2")))
        await ledger.write(partial(resources.save, record=replace(first, name_held=False)))
        second = await ledger.write(partial(resources.add, record=resource("one")))
        found = await ledger.read(partial(resources.find, endpoint="kit", project="p1", name="one"))
        assert found == second

    async def test_a_violated_key_names_its_columns(self, ledger: Ledger) -> None:
        stored = await ledger.write(partial(resources.add, record=resource()))
        with pytest.raises(UniqueViolation) as caught:
            await ledger.write(partial(resources.add, record=resource("other", id=stored.id)))
        assert caught.value.columns == "resources.id"
        with pytest.raises(NameTaken) as refused:
            await ledger.write(partial(resources.add, record=resource()))
        assert isinstance(refused.value.__cause__, UniqueViolation)
        assert refused.value.__cause__.columns == "resources.endpoint, resources.project, resources.name"

    async def test_of_many_who_want_a_name_one_gets_it(self, ledger: Ledger) -> None:
        outcomes: Counter[str] = Counter()

        async def add() -> None:
            try:
                await ledger.write(partial(resources.add, record=resource()))
            except NameTaken:
                outcomes["taken"] += 1
            else:
                outcomes["stored"] += 1

        await together(*[add] * 10)
        assert outcomes == {"stored": 1, "taken": 9}

    async def test_resources_are_paged_in_order_of_creation(self, ledger: Ledger) -> None:
        for number in range(5):
            await ledger.write(partial(resources.add, record=resource(f"n{number}")))
        page = partial(resources.page, endpoint="kit", project="p1", size=2)
        found: list[ResourceRecord] = []
        while more := await ledger.read(partial(page, after=found[-1].position if found else 0)):
            found += more
        assert [record.name for record in found] == ["n0", "n1", "n2", "n3", "n4"]
