"""The kit for ledgers fails where a promise is broken: each ledger here breaks one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from inspect import signature
from pathlib import Path
from typing import TypeVar

import pytest

from enopax_core.ledger.interface import Ledger, Tables, Transaction, UniqueViolation
from enopax_core.ledger.sqlite import SqliteLedger
from enopax_core.records.event import Event
from enopax_core.testing import LedgerConformance

T = TypeVar("T")


class Weak(SqliteLedger):
    """The embedded ledger, with some of its queries replaced."""

    def __init__(self, path: Path, tables: Sequence[Tables], queries: dict[str, str]) -> None:
        super().__init__(path, tables=tables)
        self._queries = {**self._queries, **queries}


class Forgetful(Weak):
    """Says that it has written what it has not."""

    async def write(self, function: Callable[[Transaction], T], *, durable: bool = True) -> T:
        results: list[T] = []

        def undone(transaction: Transaction) -> None:
            results.append(function(transaction))
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await super().write(undone, durable=durable)
        return results[0]


class Split(Weak):
    """Looks first and writes later, in a transaction of its own; the first two look before either writes."""

    def __init__(self, path: Path, tables: Sequence[Tables], queries: dict[str, str]) -> None:
        super().__init__(path, tables, queries)
        self.looked, self.both = 0, asyncio.Event()

    async def write(self, function: Callable[[Transaction], T], *, durable: bool = True) -> T:
        seen = await self.read(lambda transaction: transaction.execute("get_cursor", consumer="counter"))
        self.looked += 1
        if self.looked == 2:
            self.both.set()
        await self.both.wait()

        def write(transaction: Transaction) -> T:
            position = seen[0]["position"] if seen else 0
            transaction.execute("set_cursor", consumer="counter", position=position, failures=0, error=None)
            return function(transaction)

        return await super().write(write)


class Backwards(Weak):
    """Tells its listeners the newest first."""

    def listen(self, listener: Callable[[Sequence[Event]], None]) -> None:
        super().listen(lambda events: listener(events[::-1]))


class Hasty(Weak):
    """Tells its listeners before the transaction counts."""

    async def write(self, function: Callable[[Transaction], T], *, durable: bool = True) -> T:
        loop = asyncio.get_running_loop()

        def told(transaction: Transaction) -> T:
            try:
                return function(transaction)
            finally:
                for listener in self._listeners:
                    loop.call_soon_threadsafe(listener, list(transaction.events))
                transaction.events.clear()

        return await super().write(told, durable=durable)


CLAIM = (
    "UPDATE operations SET state = 'running', attempt = attempt + 1, owner = :owner, lease_until = :lease_until"
    " WHERE id = :id {} RETURNING *"
)
DUE = "AND state = 'queued' AND due_at <= :now"
NO_FENCE = {"fenced_operation": "SELECT * FROM operations WHERE id = :id"}
NO_FENCE_ON_RENEWAL = {"hold_lease": "UPDATE operations SET lease_until = :lease_until WHERE id = :id RETURNING *"}
EVERY_LEASE = {"expired_leases": "SELECT * FROM operations WHERE state = 'running' LIMIT :size"}
ANY_ORDER = {"all_events": "SELECT * FROM events WHERE position > :after ORDER BY id LIMIT :size"}
ANY_CALLER = {"get_request": "SELECT * FROM idempotency WHERE key = :key"}
BROKEN: Sequence[tuple[type[Weak], dict[str, str], str]] = [
    (Forgetful, {}, "what_was_written_is_there_after_the_next_opening"),
    (Forgetful, {}, "what_was_written_can_be_read_at_once"),
    (Split, {}, "transactions_at_the_same_time_do_not_overwrite_each_other"),
    (Backwards, {}, "listeners_get_the_events_of_every_transaction_in_the_order_of_their_positions"),
    (Hasty, {}, "a_transaction_that_was_undone_left_no_event_and_told_nobody"),
    (Weak, {"claim_operation": CLAIM.format("")}, "an_operation_is_claimed_once_and_its_attempt_counted"),
    (Weak, {"claim_operation": CLAIM.format("AND state = 'queued'")}, "an_operation_that_is_not_due_cannot_be_claimed"),
    (Weak, {"claim_operation": CLAIM.format(DUE)}, "an_operation_that_waits_for_its_time_holds_up_its_line"),
    (Weak, NO_FENCE, "only_who_holds_the_lease_passes_the_fence"),
    (Weak, NO_FENCE, "who_lost_the_lease_does_not_pass_the_fence_again"),
    (Weak, NO_FENCE_ON_RENEWAL, "only_who_holds_the_lease_passes_the_fence"),
    (Weak, EVERY_LEASE, "a_lease_that_ran_out_is_found_and_no_other"),
    (Weak, ANY_ORDER, "who_reads_on_from_the_last_position_misses_no_event"),
    (Weak, {"drop_old_events": "DELETE FROM events WHERE at < :before"}, "an_event_is_kept_until_every_consumer_has_seen_it"),
    (Weak, {"drop_schedule": "SELECT 1"}, "of_many_workers_one_takes_a_due_time"),
    (Weak, {"keep_schedule": "SELECT 1"}, "a_schedule_that_is_there_keeps_its_time_unless_its_interval_changed"),
    (Weak, ANY_CALLER, "of_requests_with_one_key_the_first_binds_it"),
    (Weak, ANY_CALLER, "a_key_gives_its_answer_until_its_time_is_over_and_is_free_again"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("kind", "queries", "promise"), BROKEN, ids=[f"{n}-{promise}" for n, (_, _, promise) in enumerate(BROKEN)]
)
async def test_a_broken_promise_is_found(kind: type[Weak], queries: dict[str, str], promise: str, tmp_path: Path) -> None:
    class Kit(LedgerConformance):
        def open(self, place: Path, tables: Sequence[Tables] = ()) -> AbstractAsyncContextManager[Ledger]:
            return kind(place / "ledger.sqlite3", tables, queries)

    kit = Kit()
    test = getattr(kit, f"test_{promise}")
    wanted = signature(test).parameters
    given: dict[str, object] = {name: value for name, value in {"tmp_path": tmp_path, "every": None}.items() if name in wanted}
    async with AsyncExitStack() as stack:
        if "ledger" in wanted:
            given["ledger"] = await stack.enter_async_context(kit.open(tmp_path))
        with pytest.raises((AssertionError, pytest.fail.Exception, UniqueViolation)):
            await test(**given)
