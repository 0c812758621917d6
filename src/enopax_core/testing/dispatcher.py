"""What the engine relies on in a dispatcher, as tests that every implementation passes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

import anyio
import anyio.lowlevel

from enopax_core.clock import Clock, utc_now
from enopax_core.engine.dispatch import Dispatcher, RunOne
from enopax_core.testing.asynchronous import Asynchronous

PATIENCE = 60  # seconds until a delivery counts as lost


class DispatcherConformance(Asynchronous):
    """Subclass it, say how the dispatcher is made, and run pytest. Ids delivered twice are no fault: the claim decides."""

    def dispatcher(self, workers: int, clock: Clock) -> AbstractAsyncContextManager[Dispatcher]:
        """A dispatcher that runs so many at a time, with nothing published."""
        raise NotImplementedError("Say how your dispatcher is made.")

    @asynccontextmanager
    async def serving(self, run_one: RunOne, *before: str) -> AsyncIterator[Dispatcher]:
        """A dispatcher with two workers that delivers, with ids published before it began."""
        async with self.dispatcher(2, utc_now) as dispatcher, anyio.create_task_group() as group:
            await dispatcher.open()
            for id in before:
                await dispatcher.publish(id)
            group.start_soon(dispatcher.serve, run_one)
            yield dispatcher
            group.cancel_scope.cancel()

    async def test_what_was_published_is_delivered(self) -> None:
        arrived = Arrivals()
        async with self.serving(arrived.run_one) as dispatcher:
            for number in range(20):
                await dispatcher.publish(f"op-{number}")
            await arrived.wait_for(*(f"op-{number}" for number in range(20)))

    async def test_what_was_published_before_serving_is_delivered(self) -> None:
        arrived = Arrivals()
        async with self.serving(arrived.run_one, "op-1", "op-2"):
            await arrived.wait_for("op-1", "op-2")

    async def test_what_is_published_again_is_delivered_again(self) -> None:
        arrived = Arrivals()
        async with self.serving(arrived.run_one) as dispatcher:
            await dispatcher.publish("op-1")
            await arrived.wait_for("op-1")
            arrived.seen.clear()
            await dispatcher.publish("op-1")
            await arrived.wait_for("op-1")

    async def test_nothing_is_delivered_before_its_time_and_nothing_waits_for_what_comes_later(self) -> None:
        arrived = Arrivals()
        async with self.serving(arrived.run_one) as dispatcher:
            due = utc_now() + timedelta(milliseconds=300)
            await dispatcher.publish("op-much-later", utc_now() + timedelta(hours=1))
            await dispatcher.publish("op-later", due)
            await dispatcher.publish("op-now")
            await arrived.wait_for("op-now")
            await arrived.wait_for("op-later")
            assert utc_now() >= due
            assert "op-much-later" not in arrived.seen

    async def test_an_id_that_waits_for_its_time_can_be_published_for_now(self) -> None:
        arrived = Arrivals()
        async with self.serving(arrived.run_one) as dispatcher:
            await dispatcher.publish("op-1", utc_now() + timedelta(hours=1))
            await dispatcher.publish("op-1")
            await arrived.wait_for("op-1")

    async def test_one_that_takes_long_does_not_hold_up_another_worker(self) -> None:
        arrived, go_on = Arrivals(), anyio.Event()

        async def run_one(id: str) -> None:
            if id == "op-long":
                await go_on.wait()
            await arrived.run_one(id)

        async with self.serving(run_one) as dispatcher:
            await dispatcher.publish("op-long")
            await dispatcher.publish("op-short")
            await arrived.wait_for("op-short")
            assert "op-long" not in arrived.seen
            go_on.set()
            await arrived.wait_for("op-long")

    async def test_no_more_run_at_a_time_than_there_are_workers(self) -> None:
        running, most = 0, 0
        arrived = Arrivals()

        async def run_one(id: str) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await anyio.lowlevel.checkpoint()
            running -= 1
            await arrived.run_one(id)

        async with self.serving(run_one) as dispatcher:
            for number in range(20):
                await dispatcher.publish(f"op-{number}")
            await arrived.wait_for(*(f"op-{number}" for number in range(20)))
        assert most <= 2

    async def test_what_runs_may_publish_the_next_of_its_line(self) -> None:
        arrived = Arrivals()
        async with self.dispatcher(1, utc_now) as dispatcher, anyio.create_task_group() as group:

            async def run_one(id: str) -> None:
                if id == "op-1":
                    await dispatcher.publish("op-2")
                await arrived.run_one(id)

            await dispatcher.open()
            group.start_soon(dispatcher.serve, run_one)
            await dispatcher.publish("op-1")
            await arrived.wait_for("op-1", "op-2")
            group.cancel_scope.cancel()

    async def test_cancelling_ends_it_and_what_it_runs(self) -> None:
        started, left = anyio.Event(), anyio.Event()

        async def run_one(_: str) -> None:
            started.set()
            try:
                await anyio.sleep_forever()
            finally:
                left.set()

        async with self.serving(run_one) as dispatcher:
            await dispatcher.publish("op-1")
            with anyio.fail_after(PATIENCE):
                await started.wait()
        assert left.is_set()


class Arrivals:
    """Ids that were delivered."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._changed = anyio.Event()

    async def run_one(self, id: str) -> None:
        """Note an id."""
        self.seen.add(id)
        self._changed.set()
        self._changed = anyio.Event()

    async def wait_for(self, *ids: str) -> None:
        """Wait until all have come. Raises TimeoutError."""
        with anyio.fail_after(PATIENCE):
            while not self.seen.issuperset(ids):
                await self._changed.wait()
