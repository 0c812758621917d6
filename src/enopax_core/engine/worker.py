"""`run_one`: claim, call the provider, finish fenced, publish the next of that line. The same whichever dispatcher delivers."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import anyio

from enopax_core.clock import Clock
from enopax_core.engine.attempt import Attempt, Stop
from enopax_core.engine.dispatch import Dispatcher
from enopax_core.engine.effects import Effects, Ended
from enopax_core.engine.execute import Executor
from enopax_core.engine.journal import LedgerJournal
from enopax_core.errors import Cancelled, EnopaxError, LeaseLost, TemporaryError, TimedOut, Unavailable
from enopax_core.events.recorder import record_operation, record_progress
from enopax_core.ledger import operations, resources
from enopax_core.ledger.interface import Ledger, Transaction
from enopax_core.records.operation import OperationRecord, Progress, State
from enopax_core.records.resource import ResourceRecord
from enopax_core.telemetry import Metrics, bind
from enopax_core.vault import Vault

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=20)
"""A claim holds so long without a heartbeat; those come every third of it."""
PARKED = timedelta(minutes=1)
"""How long an operation waits whose plugin is missing, until a worker looks again whether it is there."""
FIRST_BACKOFF, LONGEST_BACKOFF = timedelta(milliseconds=500), timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """What the claim read: the operation, its resource and the sealed results of earlier attempts' steps."""

    operation: OperationRecord
    resource: ResourceRecord | None
    steps: dict[str, bytes | None]


class Worker:
    """Runs operations in this process and keeps the leases of those it holds."""

    def __init__(
        self,
        *,
        owner: str,
        ledger: Ledger,
        dispatcher: Dispatcher,
        vault: Vault,
        executor: Executor,
        effects: Effects,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self.owner = owner
        self.held: dict[str, Attempt] = {}
        self._ledger, self._dispatcher, self._vault, self._clock = ledger, dispatcher, vault, clock
        self._executor, self._effects, self._metrics = executor, effects, metrics
        self._journal = LedgerJournal(ledger, vault)
        self._closing = False
        self._only: frozenset[str] | None = None

    async def run_one(self, operation_id: str) -> None:
        """One attempt of an operation, if it is its turn; silent otherwise."""
        if self._closing or operation_id in self.held:
            return
        try:
            claimed = await self._ledger.write(partial(self._claim, operation_id), durable=False)
            if isinstance(claimed, datetime):
                await self._dispatcher.publish(operation_id, claimed)
            elif claimed is not None:
                await self._attempt(claimed)
        except Exception:  # the ledger failed (a full disk): the sweep delivers it again, other operations go on
            log.exception("The operation %s could not be run now.", operation_id)

    def take_only(self, types: frozenset[str] | None) -> None:
        """Begin nothing but operations of these types from now on; None: anything."""
        self._only = types

    async def running_others(self, types: frozenset[str]) -> Sequence[OperationRecord]:
        """What is running of other types. Asked in the writer's line: a claim that was on its way is seen."""
        running = await self._ledger.write(operations.running, durable=False)
        return [record for record in running if record.type not in types]

    def close(self) -> None:
        """Stop taking operations and give back those that can be interrupted."""
        self._closing = True
        for attempt in list(self.held.values()):
            attempt.stop(Stop.CLOSING)

    def cancel(self, operation_id: str) -> None:
        """Somebody has asked to cancel an operation; if it runs here, it hears of it at once."""
        if operation_id in self.held:
            self.held[operation_id].stop(Stop.CANCELLED)

    async def renew(self) -> None:
        """Heartbeat: hold the leases longer, hear of cancellations and losses. Loses what cannot be renewed in time."""
        attempts = list(self.held.values())  # before the query: what is claimed meanwhile must not count as lost
        if not attempts:
            return
        until = self._clock() + LEASE

        def renew_all(transaction: Transaction) -> list[OperationRecord | None]:
            return [operations.renew(transaction, attempt.record, until) for attempt in attempts]

        try:
            renewed = await self._ledger.write(renew_all, durable=False)
        except Exception:
            log.exception("Leases could not be renewed.")
            for attempt in attempts:
                if (attempt.record.lease_until or until) < self._clock():
                    attempt.stop(Stop.LOST)
            return
        for attempt, record in zip(attempts, renewed, strict=True):
            if record is None:
                if attempt.id in self.held:
                    attempt.stop(Stop.LOST)
            else:
                attempt.record = replace(attempt.record, lease_until=record.lease_until)
                if record.cancel_requested:
                    attempt.stop(Stop.CANCELLED)

    async def flush(self) -> None:
        """Write the progress that attempts have reported since the last time, all in one transaction."""
        attempts = [attempt for attempt in self.held.values() if attempt.has_reported]
        if not attempts:
            return

        def write(transaction: Transaction) -> None:
            for attempt in attempts:
                current = operations.fenced(transaction, attempt.record)
                if current is not None:  # else its end was written meanwhile, and the reports with it
                    operations.save(transaction, record_progress(transaction, current, attempt.unwritten()))

        await self._ledger.write(write, durable=False)

    # ── One attempt ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _claim(self, operation_id: str, transaction: Transaction) -> Claimed | datetime | None:
        """The claim; or when to come again; or None: not its turn."""
        if self._only is not None:
            waiting = operations.get(transaction, operation_id)
            if waiting is None or waiting.type not in self._only:
                return None  # the sweep delivers it again
        claimed = operations.claim(transaction, operation_id, owner=self.owner, lease_until=transaction.now + LEASE)
        if claimed is None:
            waiting = operations.get(transaction, operation_id)
            early = waiting is not None and waiting.state is State.QUEUED and waiting.due_at > transaction.now
            return waiting.due_at if waiting is not None and early else None
        if not self._executor.knows(claimed.endpoint):
            operations.save(transaction, _parked(claimed, transaction.now))
            return None
        claimed = record_operation(transaction, replace(claimed, progress=Progress()))
        return Claimed(
            operation=claimed,
            resource=None if claimed.resource is None else resources.get(transaction, claimed.resource),
            steps=dict(operations.steps(transaction, operation_id)) if claimed.attempt > 1 else {},
        )

    async def _attempt(self, claimed: Claimed) -> None:
        record = claimed.operation
        steps = {name: self._vault.open(sealed).get("result") for name, sealed in claimed.steps.items()}
        attempt = self.held[record.id] = Attempt(record, self._journal, steps)
        started = anyio.current_time()
        try:
            with bind(operation=record.id, resource=record.resource):
                ended = await self._run(attempt, claimed.resource)
                if ended is None:
                    return
                following = await self._ledger.write(partial(self._finish, attempt, ended, claimed.resource))
                if following is None:
                    return
                log.info("%s of %s: %s", record.type, record.subject, ended.state.value)
        finally:
            del self.held[record.id]
        self._metrics.operation_ended(record.endpoint, record.type, ended.state.value, anyio.current_time() - started)
        for operation_id, due_at in following:
            await self._dispatcher.publish(operation_id, due_at)

    async def _run(self, attempt: Attempt, resource: ResourceRecord | None) -> Ended | None:
        """What came of the attempt; None: it must leave no trace."""
        provider = self._executor.provider(attempt.record.endpoint)
        ended: Ended | None = None
        try:
            with attempt.scope, anyio.fail_after(provider.timeout.total_seconds()):
                ended = await self._executor.run(attempt, resource)
        except TimeoutError:
            ended = self._failed(attempt, TimedOut(f"An attempt may take {provider.timeout}."))
        except Cancelled as error:
            ended = Ended(state=State.CANCELLED, error=error)
        except LeaseLost:
            pass
        except EnopaxError as error:
            ended = self._failed(attempt, error)
        if ended is not None and ended.state is State.SUCCEEDED:
            return ended  # it was done before it heard that it should stop
        match attempt.stopped:
            case Stop.LOST:
                return None
            case Stop.CLOSING:
                return Ended(state=State.QUEUED, due_at=self._clock(), uncounted=True)
            case Stop.CANCELLED:
                return Ended(state=State.CANCELLED, error=Cancelled())
        return ended

    def _failed(self, attempt: Attempt, error: EnopaxError) -> Ended:
        """Retryable or final is a type; anything a provider did not foresee is tried again, and so is a ledger that failed."""
        record = attempt.record
        final = not isinstance(error, (TemporaryError, TimedOut, Unavailable))
        if final or record.attempt >= record.max_attempts:
            return Ended(state=State.FAILED, error=error)
        wait = backoff(record.attempt)
        if isinstance(error, TemporaryError) and error.retry_after is not None:
            wait = max(wait, error.retry_after)
        return Ended(state=State.QUEUED, error=error, due_at=self._clock() + wait)

    def _finish(
        self, attempt: Attempt, ended: Ended, ran_with: ResourceRecord | None, transaction: Transaction
    ) -> list[tuple[str, datetime | None]] | None:
        """Operation, event and resource in one transaction. What to publish next; None: the lease was lost."""
        current = operations.fenced(transaction, attempt.record)
        if current is None:
            return None
        current = record_progress(transaction, current, attempt.unwritten())
        if ended.state is State.QUEUED and current.cancel_requested:
            ended = Ended(state=State.CANCELLED, error=Cancelled())
        return self._effects.end(transaction, current, ended, ran_with)


def _parked(claimed: OperationRecord, now: datetime) -> OperationRecord:
    """The claim taken back, as if it had not been."""
    attempt = claimed.attempt - 1
    started_at = claimed.started_at if attempt else None
    waiting = replace(claimed, state=State.QUEUED, owner=None, lease_until=None)
    return replace(waiting, attempt=attempt, started_at=started_at, due_at=now + PARKED)


def backoff(attempt: int, spread: Callable[[float, float], float] = random.uniform) -> timedelta:
    """Wait before the attempt after this one: doubled each time, a quarter more or less so that many do not meet."""
    doubled: int = 2 ** min(attempt - 1, 20)
    return min(LONGEST_BACKOFF, FIRST_BACKOFF * doubled) * spread(0.75, 1.25)
