"""Operations in their lines: claims, leases, fences."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from enopax_core.events.recorder import record_operation
from enopax_core.ledger import operations
from enopax_core.ledger.interface import Ledger, Transaction, UniqueViolation
from enopax_core.records.operation import OperationRecord, State
from enopax_core.testing.ledger.base import HOUR, MOMENT, LedgerTests, claim, due, finish, operation, together


class Lines(LedgerTests):
    """What workers stand on."""

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
        assert await ledger.read(due) == []

    async def test_lines_of_different_subjects_do_not_wait_for_each_other(self, ledger: Ledger) -> None:
        records = [await ledger.write(partial(operation, subject=f"r-{number}")) for number in range(5)]
        heads = await ledger.read(due)
        assert sorted(heads) == sorted(record.id for record in records)
        assert all([await ledger.write(partial(claim, id=record.id)) for record in records])

    async def test_one_that_is_tried_again_waits_for_what_runs_by_now(self, ledger: Ledger) -> None:
        first, second = [await ledger.write(operation) for _ in range(2)]
        await ledger.write(partial(operations.save, record=replace(first, state=State.FAILED)))
        assert await ledger.write(partial(claim, id=second.id)) is not None
        await ledger.write(partial(operations.save, record=first))
        assert await ledger.read(due) == []
        assert await ledger.write(partial(claim, id=first.id)) is None

    async def test_operations_of_providers_that_are_missing_are_not_due(self, ledger: Ledger) -> None:
        await ledger.write(operation)
        assert await ledger.read(partial(operations.due_heads, endpoints=["another"], size=10)) == []

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
