"""What the core relies on in a ledger, as tests that every implementation passes.

Leases are tested with moments relative to `Transaction.now`, because a ledger shared by several machines takes the time
of its database and not the settable clock.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import pytest

from enopax_core.errors import DatabaseTooNew, NameTaken, NotOpen, PluginRefused, RequestInFlight
from enopax_core.events.recorder import new_id, record_operation, record_progress
from enopax_core.ledger import events, idempotency, operations, resources, schedules
from enopax_core.ledger.events import Cursor
from enopax_core.ledger.idempotency import LIFETIME, BoundRequest
from enopax_core.ledger.interface import Ledger, Tables, Transaction, UniqueViolation
from enopax_core.ledger.schedules import Due
from enopax_core.records.event import Event
from enopax_core.records.operation import OperationRecord, Progress, State
from enopax_core.records.resource import ResourceRecord
from enopax_core.testing.asynchronous import Asynchronous

T = TypeVar("T")
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


class LedgerConformance(Asynchronous):
    """Subclass it, say how the ledger is opened, and run pytest."""

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

    # ── Transactions ──────────────────────────────────────────────────────────────────────────────────────────────────

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

    # ── Reads ─────────────────────────────────────────────────────────────────────────────────────────────────────────

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

    # ── Keys ──────────────────────────────────────────────────────────────────────────────────────────────────────────

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

    # ── Operations ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_an_operation_is_claimed_once_and_its_attempt_counted(self, ledger: Ledger) -> None:
        queued = await ledger.write(operation)
        claimed: list[OperationRecord] = []

        async def take(owner: str) -> None:
            found = await ledger.write(partial(claim, id=queued.id, owner=owner))
            claimed.extend([found] if found is not None else [])

        await together(*(partial(take, f"w-{number}") for number in range(10)))
        assert [(record.attempt, record.state) for record in claimed] == [(1, State.RUNNING)]

    async def test_an_operation_that_is_not_due_cannot_be_claimed(self, ledger: Ledger) -> None:
        queued = await ledger.write(partial(operation, due=HOUR))
        assert await ledger.write(partial(claim, id=queued.id)) is None

    async def test_of_a_subjects_operations_one_runs_and_the_others_wait_in_order(self, ledger: Ledger) -> None:
        first, second, third = [await ledger.write(operation) for _ in range(3)]
        assert await ledger.write(partial(claim, id=second.id)) is None
        running = await ledger.write(partial(claim, id=first.id))
        assert running is not None
        assert await ledger.write(partial(claim, id=second.id)) is None
        await ledger.write(partial(finish, record=running))
        assert await ledger.write(partial(claim, id=third.id)) is None
        assert await ledger.write(partial(claim, id=second.id)) is not None
        line = await ledger.read(partial(operations.line, subject="r-1"))
        assert [record.id for record in line] == [second.id, third.id]

    async def test_two_operations_of_a_subject_are_never_stored_as_running(self, ledger: Ledger) -> None:
        """Whatever a claim overlooks, the database refuses."""
        first, second = [await ledger.write(operation) for _ in range(2)]
        await ledger.write(partial(claim, id=first.id))
        with pytest.raises(UniqueViolation) as caught:
            await ledger.write(partial(operations.save, record=replace(second, state=State.RUNNING)))
        assert caught.value.columns == "operations.subject"

    async def test_an_operation_that_waits_for_its_time_holds_up_its_line(self, ledger: Ledger) -> None:
        await ledger.write(partial(operation, due=HOUR))
        second = await ledger.write(operation)
        assert await ledger.write(partial(claim, id=second.id)) is None
        assert await ledger.read(partial(operations.due_heads, size=10)) == []

    async def test_lines_of_different_subjects_do_not_wait_for_each_other(self, ledger: Ledger) -> None:
        records = [await ledger.write(partial(operation, subject=f"r-{number}")) for number in range(5)]
        heads = await ledger.read(partial(operations.due_heads, size=10))
        assert sorted(heads) == sorted(record.id for record in records)
        assert all([await ledger.write(partial(claim, id=record.id)) for record in records])
        assert await ledger.read(partial(operations.heads, subjects=["r-0", "r-9"])) == {"r-0": records[0].id}

    async def test_only_who_holds_the_lease_passes_the_fence(self, ledger: Ledger) -> None:
        queued = await ledger.write(operation)
        held = await ledger.write(partial(claim, id=queued.id))
        assert held is not None
        for stranger in (replace(held, owner="w-2"), replace(held, attempt=2)):
            assert await ledger.write(partial(operations.fenced, held=stranger)) is None
            assert await ledger.write(partial(operations.renew, held=stranger, lease_until=MOMENT)) is None
        assert await ledger.write(partial(operations.fenced, held=held)) == held
        renewed = await ledger.write(partial(operations.renew, held=held, lease_until=MOMENT + HOUR))
        assert renewed is not None
        assert renewed.lease_until == MOMENT + HOUR

    async def test_who_lost_the_lease_does_not_pass_the_fence_again(self, ledger: Ledger) -> None:
        queued = await ledger.write(operation)
        held = await ledger.write(partial(claim, id=queued.id))
        assert held is not None
        await ledger.write(partial(record_operation, record=replace(held, state=State.QUEUED, owner=None, lease_until=None)))
        assert await ledger.write(partial(operations.fenced, held=held)) is None
        again = await ledger.write(partial(claim, id=queued.id))
        assert again is not None
        assert again.attempt == 2
        assert await ledger.write(partial(operations.fenced, held=held)) is None

    async def test_a_lease_that_ran_out_is_found_and_no_other(self, ledger: Ledger) -> None:
        lost, held = [await ledger.write(partial(operation, subject=f"r-{number}")) for number in (1, 2)]
        await ledger.write(partial(claim, id=lost.id, lease=-timedelta(seconds=1)))
        await ledger.write(partial(claim, id=held.id))
        expired = await ledger.read(partial(operations.expired, size=10))
        assert [record.id for record in expired] == [lost.id]
        running = await ledger.read(operations.running)
        assert {record.id for record in running} == {lost.id, held.id}

    async def test_results_of_steps_are_kept_for_later_attempts_until_dropped(self, ledger: Ledger) -> None:
        def save(transaction: Transaction) -> None:
            for name, result in (("a", b"1"), ("b", None), ("a", b"2")):
                operations.save_step(transaction, "op-1", name, result)

        await ledger.write(save)
        assert await ledger.read(partial(operations.steps, operation="op-1")) == {"a": b"2", "b": None}
        await ledger.write(partial(operations.drop_steps, operation="op-1"))
        assert await ledger.read(partial(operations.steps, operation="op-1")) == {}

    # ── Events ────────────────────────────────────────────────────────────────────────────────────────────────────────

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

    # ── Schedules ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize("every", [HOUR, None], ids=["repeated", "single"])
    async def test_of_many_workers_one_takes_a_due_time(self, ledger: Ledger, every: timedelta | None) -> None:
        due = Due(subject="r-1", name="dust", endpoint="kit", every=every, due_at=MOMENT)
        await ledger.write(partial(schedules.put, due=due))
        assert await ledger.read(partial(schedules.pending, now=MOMENT, size=10)) == [due]
        taken: list[bool] = []

        async def take() -> None:
            taken.append(await ledger.write(partial(schedules.advance, due=due, now=MOMENT)))

        await together(*[take] * 10)
        assert taken.count(True) == 1
        assert await ledger.read(partial(schedules.pending, now=MOMENT, size=10)) == []

    async def test_missed_due_times_are_not_made_up_for(self, ledger: Ledger) -> None:
        due = Due(subject="r-1", name="dust", endpoint="kit", every=HOUR, due_at=MOMENT)
        later = MOMENT + 10 * HOUR
        await ledger.write(partial(schedules.put, due=due))
        await ledger.write(partial(schedules.advance, due=due, now=later))
        assert await ledger.read(partial(schedules.pending, now=later, size=10)) == []
        assert len(await ledger.read(partial(schedules.pending, now=later + HOUR, size=10))) == 1

    async def test_a_schedule_that_is_there_keeps_its_time_unless_its_interval_changed(self, ledger: Ledger) -> None:
        due = Due(subject="r-1", name="dust", endpoint="kit", every=HOUR, due_at=MOMENT)
        moved = replace(due, due_at=MOMENT + HOUR)
        await ledger.write(partial(schedules.put, due=due))
        await ledger.write(partial(schedules.put, due=moved, keep=True))
        assert await ledger.read(partial(schedules.pending, now=MOMENT + HOUR, size=10)) == [due]
        await ledger.write(partial(schedules.put, due=replace(moved, every=2 * HOUR), keep=True))
        assert await ledger.read(partial(schedules.pending, now=MOMENT, size=10)) == []
        await ledger.write(partial(schedules.drop, subject="r-1"))
        assert await ledger.read(partial(schedules.pending, now=MOMENT + HOUR, size=10)) == []

    # ── Idempotency ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_of_requests_with_one_key_the_first_binds_it(self, ledger: Ledger) -> None:
        request = BoundRequest(caller="k-1", key="a", fingerprint="f1", operation="op-1")
        await ledger.write(partial(idempotency.bind, request=request, now=MOMENT))
        with pytest.raises(RequestInFlight):
            await ledger.write(partial(idempotency.bind, request=replace(request, fingerprint="f2"), now=MOMENT))
        assert await ledger.read(partial(idempotency.find, caller="k-1", key="a", now=MOMENT)) == request
        assert await ledger.read(partial(idempotency.find, caller="k-2", key="a", now=MOMENT)) is None

    async def test_a_key_gives_its_answer_until_its_time_is_over_and_is_free_again(self, ledger: Ledger) -> None:
        request = BoundRequest(caller="k-1", key="a", fingerprint="f1")
        await ledger.write(partial(idempotency.bind, request=request, now=MOMENT))
        await ledger.write(partial(idempotency.answer, caller="k-1", key="a", sealed_answer=b"sealed"))
        found = await ledger.read(partial(idempotency.find, caller="k-1", key="a", now=MOMENT + LIFETIME / 2))
        assert found == replace(request, sealed_answer=b"sealed")
        assert await ledger.read(partial(idempotency.find, caller="k-1", key="a", now=MOMENT + LIFETIME)) is None
        await ledger.write(partial(idempotency.bind, request=request, now=MOMENT + LIFETIME))

    # ── Tables of plugins ─────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_plugins_migrations_run_once_and_its_queries_carry_its_name(self, tmp_path: Path) -> None:
        place, shop = tmp_path / "ledger", plugin_tables(tmp_path / "shop", "shop", 1)
        place.mkdir()
        async with self.open(place, [shop]) as ledger:
            await ledger.write(lambda transaction: transaction.execute("shop.add", id="a", price=1))
        async with self.open(place, [shop]) as ledger:
            rows = await ledger.read(lambda transaction: transaction.execute("shop.everything"))
            assert [dict(row) for row in rows] == [{"id": "a", "price": 1}]

    async def test_a_new_version_of_a_plugin_brings_its_new_migrations_alone(self, tmp_path: Path) -> None:
        place, stall = tmp_path / "ledger", plugin_tables(tmp_path / "stall", "stall", 1)
        place.mkdir()
        async with self.open(place, [plugin_tables(tmp_path / "shop-1", "shop", 1), stall]) as ledger:
            await ledger.write(lambda transaction: transaction.execute("shop.add", id="a", price=1))
        async with self.open(place, [plugin_tables(tmp_path / "shop-2", "shop", 2), stall]) as ledger:
            rows = await ledger.read(lambda transaction: transaction.execute("shop.everything"))
            assert [dict(row) for row in rows] == [{"id": "a", "price": 1, "colour2": "red"}]

    async def test_a_database_of_a_newer_version_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        place, newer = tmp_path / "ledger", plugin_tables(tmp_path / "shop-2", "shop", 2)
        place.mkdir()
        async with self.open(place, [newer]):
            pass
        with pytest.raises(DatabaseTooNew, match="shop"):
            async with self.open(place, [plugin_tables(tmp_path / "shop-1", "shop", 1)]):
                pass
        async with self.open(place, [newer]) as ledger:
            assert await ledger.read(lambda transaction: transaction.execute("shop.everything")) == []

    async def test_migrations_whose_numbers_have_a_gap_are_refused(self, tmp_path: Path) -> None:
        shop = plugin_tables(tmp_path / "shop", "shop", 1)
        (tmp_path / "shop" / "migrations" / "0003_gap.sql").write_text("SELECT 1;")
        with pytest.raises(PluginRefused, match="0003_gap"):
            async with self.open(tmp_path, [shop]):
                pass


def plugin_tables(folder: Path, section: str, migrations: int) -> Tables:
    """Tables of a plugin in that many migrations: the first makes a table, each later one adds a column."""
    (folder / "migrations").mkdir(parents=True)
    (folder / "queries").mkdir()
    script = f"CREATE TABLE {section}_goods (id TEXT PRIMARY KEY, price INTEGER NOT NULL);"
    for number in range(1, migrations + 1):
        (folder / "migrations" / f"{number:04}_step.sql").write_text(script)
        script = f"ALTER TABLE {section}_goods ADD COLUMN colour{number + 1} TEXT NOT NULL DEFAULT 'red';"
    (folder / "queries" / "goods.sql").write_text(
        f"-- name: add\nINSERT INTO {section}_goods (id, price) VALUES (:id, :price);\n\n"
        f"-- name: everything\nSELECT * FROM {section}_goods ORDER BY id;\n"
    )
    return Tables(section=section, folder=folder)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something has come about: looked at again and again, decided by nothing but itself."""
    with anyio.fail_after(30):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event
            await anyio.sleep(0.005)
