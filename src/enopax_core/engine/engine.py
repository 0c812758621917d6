"""Composes the engine: dispatcher, worker, heartbeat, sweep. The core opens and closes it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import anyio

from enopax_core.clock import Clock
from enopax_core.engine.dispatch import Dispatcher
from enopax_core.engine.effects import Effects, Publish
from enopax_core.engine.execute import Executor
from enopax_core.engine.queue import TASK
from enopax_core.engine.sweep import Sweep
from enopax_core.engine.worker import LEASE, Worker
from enopax_core.errors import Unavailable
from enopax_core.events.recorder import new_id
from enopax_core.ledger import operations, schedules
from enopax_core.ledger.interface import Ledger, Transaction
from enopax_core.ledger.schedules import Due
from enopax_core.records.operation import Kind
from enopax_core.registry import Registry
from enopax_core.telemetry import Metrics
from enopax_core.vault import Vault

log = logging.getLogger(__name__)
FLUSH_SECONDS = 0.2  # how old a reported progress may get before it is written
SWEEP_SECONDS = 1.0
FORGET_SECONDS = 3600.0
ADDING = frozenset({Kind.PROVISION, Kind.RECONCILE})
"""Types of operations that take nothing away and change nothing that exists."""
QUIET_SECONDS, QUIET_PAUSE = 300.0, 0.05


class Engine:
    """Runs accepted operations until closed."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        dispatcher: Dispatcher,
        registry: Registry,
        vault: Vault,
        executor: Executor,
        metrics: Metrics,
        clock: Clock,
        reconcile_every: timedelta,
    ) -> None:
        self._ledger, self._dispatcher, self._registry, self._clock = ledger, dispatcher, registry, clock
        self._metrics, self._reconcile_every = metrics, reconcile_every
        effects = Effects(registry, vault)
        self.executor = executor
        self._sweep = Sweep(ledger, registry, effects, clock)
        self._worker = Worker(
            owner=new_id("w"),
            ledger=ledger,
            dispatcher=dispatcher,
            vault=vault,
            executor=executor,
            effects=effects,
            metrics=metrics,
            clock=clock,
        )

    @contextlib.asynccontextmanager
    async def running(self, *, alone: bool, closing_seconds: float = 5.0) -> AsyncIterator[None]:
        """Work from here to the end of the block. `alone`: nobody else can hold a lease, so all of them have expired."""
        await self._dispatcher.open()
        await self._publish(await self._sweep.leases((), all_of_them=alone))
        await self._ledger.write(self._schedule_reconcile)
        async with anyio.create_task_group() as group:
            for name, seconds, work in (
                ("heartbeat", LEASE.total_seconds() / 3, self._worker.renew),
                ("progress", FLUSH_SECONDS, self._worker.flush),
                ("sweep", SWEEP_SECONDS, self._sweep_once),
                ("housekeeping", FORGET_SECONDS, self._sweep.forget),
            ):
                group.start_soon(_repeat, name, seconds, work)
            group.start_soon(self._dispatcher.serve, self._worker.run_one)
            try:
                yield
            finally:
                with anyio.CancelScope(shield=True):
                    await self._close(closing_seconds)
                group.cancel_scope.cancel()

    async def publish(self, operation_id: str) -> None:
        """Deliver an operation that was accepted."""
        await self._dispatcher.publish(operation_id)

    def cancel(self, operation_id: str) -> None:
        """An operation's cancellation was requested: tell it at once if it runs here."""
        self._worker.cancel(operation_id)

    @contextlib.asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        """From here to the end of the block, nothing that exists is changed: `ADDING` operations alone are begun.

        What runs is waited for. Raises Unavailable when it takes longer than `QUIET_SECONDS`.
        """
        self._worker.take_only(ADDING)
        try:
            until = anyio.current_time() + QUIET_SECONDS
            while others := await self._worker.running_others(ADDING):
                if anyio.current_time() > until:
                    slow = others[0]
                    raise Unavailable(
                        f"The operation {slow.id} ({slow.type} of {slow.subject}) has not ended after {QUIET_SECONDS:.0f} s:"
                        " wait for it, or cancel it, and try again."
                    )
                await anyio.sleep(QUIET_PAUSE)
            yield
        finally:
            self._worker.take_only(None)

    async def _close(self, seconds: float) -> None:
        """Give back what runs; a plain method that does not report progress may take until its end, but not for ever."""
        self._worker.close()
        with anyio.move_on_after(seconds):
            while self._worker.held:  # noqa: ASYNC110  # once, at the end: an event would be set at every operation's
                await anyio.sleep(0.02)

    async def _sweep_once(self) -> None:
        await self._publish(await self._sweep.leases(self._worker.held))
        await self._publish(await self._sweep.schedule())
        await self._publish([found for found in await self._sweep.due() if found[0] not in self._worker.held])
        oldest, waiting = await self._ledger.read(operations.oldest_due)
        age = 0.0 if oldest is None else max(0.0, (self._clock() - oldest).total_seconds())
        self._metrics.queue(age, waiting)

    async def _publish(self, found: Publish) -> None:
        for operation_id, due_at in found:
            await self._dispatcher.publish(operation_id, due_at)

    def _schedule_reconcile(self, transaction: Transaction) -> None:
        for registered in self._registry.providers:
            due = Due(
                subject=TASK + registered.endpoint,
                name=Kind.RECONCILE,
                endpoint=registered.endpoint,
                every=self._reconcile_every,
                due_at=transaction.now + self._reconcile_every,
            )
            schedules.put(transaction, due, keep=True)


async def _repeat(name: str, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await anyio.sleep(seconds)
        try:
            await work()
        except Exception:  # the ledger failed (a full disk): the next round tries again
            log.exception("The %s failed; it is tried again.", name)
