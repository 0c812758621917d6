"""Due times, and requests that carry an idempotency key."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from enopax_core.errors import RequestInFlight
from enopax_core.ledger import idempotency, schedules
from enopax_core.ledger.idempotency import LIFETIME, BoundRequest
from enopax_core.ledger.interface import Ledger
from enopax_core.ledger.schedules import Due
from enopax_core.testing.ledger.base import HOUR, MOMENT, LedgerTests, together


class Upkeep(LedgerTests):
    """What must happen once, whoever asks."""

    # ── Schedules ───────────────────────────────────────────────────────────────────────────────────────────────────────

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

    # ── Idempotency ─────────────────────────────────────────────────────────────────────────────────────────────────────

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
