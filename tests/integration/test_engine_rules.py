"""The engine's rules, each where it can be seen to hold: what is claimed, fenced, lost, retried, superseded and due."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from tests.integration.conftest import ASYNC, PLACE, Hands, House, opened
from tests.integration.shelf import Workshop

from enopax_core import Core, Settings
from enopax_core.engine.queue import queue_operation
from enopax_core.errors import PermanentError, TemporaryError
from enopax_core.ledger import operations, resources
from enopax_core.ledger.interface import Transaction
from enopax_core.provider import Config, Observed, Operation, Outcome, Provider, Resource
from enopax_core.records.operation import OperationRecord, State

pytestmark = pytest.mark.anyio


async def change(house: House, id: str, how: Callable[[OperationRecord], OperationRecord]) -> None:
    """Change an operation in the ledger, as another worker would."""

    def write(transaction: Transaction) -> None:
        found = operations.get(transaction, id)
        assert found is not None
        operations.save(transaction, how(found))

    await house.core.ledger.write(write)


async def look(house: House, id: str) -> OperationRecord:
    """An operation as the ledger has it."""
    return await seen(house.core, id, lambda _: True)


async def until(house: House, id: str, state: State) -> OperationRecord:
    """Wait for a state."""
    return await seen(house.core, id, lambda found: found.state is state)


async def seen(core: Core, id: str, condition: Callable[[OperationRecord], bool]) -> OperationRecord:
    """An operation as the ledger has it, once it is so."""
    with anyio.fail_after(60):
        while True:
            found = await core.ledger.read(lambda t: operations.get(t, id))
            assert found is not None
            if condition(found):
                return found
            await anyio.sleep(0.005)  # what ends it may leave no event


async def test_a_worker_that_lost_its_lease_leaves_no_trace(house: House) -> None:
    gate = house.workshop.close("provision")
    begun = await house.begin()
    await house.workshop.entered["provision"].wait()
    await change(house, begun["operation"], lambda o: replace(o, owner="another", attempt=o.attempt + 1))
    gate.set()
    await house.until(lambda: house.workshop.called("status") == 1)
    await house.make("later")  # by now the first attempt has tried to write its end
    after = await look(house, begun["operation"])
    assert (after.state, after.owner, after.attempt) == (State.RUNNING, "another", 2)
    record = await house.core.ledger.read(lambda t: resources.get(t, begun["id"]))
    assert record is not None
    assert (record.sealed_credentials, record.has_backend) == (None, False)


def lost(operation: OperationRecord) -> OperationRecord:
    """As a worker leaves it that was killed a minute ago."""
    past = operation.created_at - timedelta(minutes=1)
    return replace(operation, state=State.RUNNING, owner="dead", attempt=1, lease_until=past, started_at=past)


async def orphaned(house: House, how: Callable[[OperationRecord], OperationRecord]) -> str:
    """An operation that a dead worker held, as it stands in the ledger."""
    made = await house.make("orphan")

    def write(transaction: Transaction) -> str:
        resource = resources.get(transaction, made["id"])
        registered = house.core.registry.provider("shelf")
        queued = queue_operation(transaction, "update", registered, resource)
        operations.save(transaction, how(lost(queued)))
        return queued.id

    return await house.core.ledger.write(write)


async def test_what_a_dead_worker_held_is_taken_up_again(house: House) -> None:
    operation = await orphaned(house, lambda o: o)
    ended = await until(house, operation, State.SUCCEEDED)
    assert ended.attempt == 2


async def test_a_crash_loop_ends_and_reconcile_looks(house: House) -> None:
    before = house.workshop.called("status")
    operation = await orphaned(house, lambda o: replace(o, attempt=o.max_attempts))
    ended = await until(house, operation, State.FAILED)
    assert (ended.error or {})["code"] == "worker-lost"
    await house.until(lambda: house.workshop.called("status") > before + 1)


async def test_what_was_cancelled_while_its_worker_was_dead_is_cancelled(house: House) -> None:
    operation = await orphaned(house, lambda o: replace(o, cancel_requested=True))
    assert (await until(house, operation, State.CANCELLED)).attempt == 1


async def test_what_was_accepted_and_never_published_runs_all_the_same(house: House) -> None:
    made = await house.make()

    def write(transaction: Transaction) -> str:
        resource = resources.get(transaction, made["id"])
        return queue_operation(transaction, "update", house.core.registry.provider("shelf"), resource).id

    await until(house, await house.core.ledger.write(write), State.SUCCEEDED)


async def test_deleting_supersedes_a_retry_that_is_backing_off(house: House) -> None:
    house.workshop.failures["provision"].append(TemporaryError("no wood", retry_after=timedelta(hours=1)))
    begun = await house.begin()
    await house.until(lambda: house.workshop.called("provision") == 1)
    await until(house, begun["operation"], State.QUEUED)
    gone = await house.owner.delete(f"/v1/shelf/{begun['id']}")
    assert gone.status_code == 200
    assert (await look(house, begun["operation"])).state is State.CANCELLED


async def test_a_failed_update_keeps_what_was_asked_for_and_says_that_it_is_not_so(house: House) -> None:
    made = await house.make()
    house.workshop.failures["update"].append(PermanentError("the wall is in the way"))
    await house.owner.put(f"/v1/shelf/{made['id']}", json={"boards": 7})
    after = await house.get(f"/v1/shelf/{made['id']}")
    synced = next(one for one in after["conditions"] if one["type"] == "Synced")
    assert (after["config"]["boards"], after["status"], synced["status"], synced["reason"]) == (
        7,
        "degraded",
        "False",
        "UpdateFailed",
    )
    assert house.workshop.built[made["id"]]["boards"] == 3


async def test_restoring_does_not_make_up_for_a_failed_update(house: House) -> None:
    path = f"/v1/shelf/{(await house.make())['id']}"
    house.workshop.failures["update"].append(PermanentError("the wall is in the way"))
    await house.owner.put(path, json={"boards": 7})
    await house.owner.delete(path)
    assert (await house.owner.post(path + "/restore")).status_code == 200
    assert (await house.get(path))["status"] == "degraded"


async def test_a_schedule_runs_once_for_each_due_time(house: House) -> None:
    await house.make()
    house.hands.move(minutes=61)
    await house.until(lambda: house.workshop.called("dust") == 1)
    house.hands.move(minutes=30)
    await house.make("sweeps have passed")
    assert house.workshop.called("dust") == 1
    house.hands.move(hours=5)  # missed times are not made up for
    await house.until(lambda: house.workshop.called("dust") >= 3)  # the second resource's first one among them
    await house.make("more sweeps have passed")
    assert house.workshop.called("dust") == 3


async def test_a_full_disk_is_answered_and_nothing_is_lost(house: House) -> None:
    made = await house.make()

    def fill(transaction: Any) -> None:
        pages = transaction._connection.execute("PRAGMA page_count").fetchone()[0]
        transaction._connection.execute(f"PRAGMA max_page_count={pages}")

    def free(transaction: Any) -> None:
        transaction._connection.execute("PRAGMA max_page_count=1000000")

    await house.core.ledger.write(fill)
    answers = []
    for number in range(40):  # free pages and the log's own go first
        answer = await house.owner.post("/v1/shelf", json={"name": f"n{number}", **PLACE}, headers=ASYNC)
        answers.append(answer)
        if answer.status_code == 503:
            break
    assert answers[-1].status_code == 503
    assert "retry-after" in answers[-1].headers
    assert (await house.get(f"/v1/shelf/{made['id']}"))["status"] == "active"
    await house.core.ledger.write(free)
    assert (await house.owner.post("/v1/shelf", json={"name": "after", **PLACE})).status_code == 201
    for answer in answers[:-1]:
        await house.ended(answer.json()["operation"])


# ── Plain methods and steps ───────────────────────────────────────────────────────────────────────────────────────────


class Mill(Provider[Config]):
    """Grinds in a thread, in steps that are remembered."""

    name, endpoint = "mill", "mill"
    attempts = 3

    def __init__(self) -> None:
        self.grinding, self.go_on = threading.Event(), threading.Event()
        self.fetched = self.tries = 0
        self.sluice, self.opened = anyio.Lock(), False
        self.keys: set[str] = set()

    def update(self, operation: Operation, resource: Resource[Config]) -> Outcome:
        self.grinding.set()
        self.go_on.wait(60)
        anyio.from_thread.run(self._open_sluice)
        operation.progress("grind", "Grinding")
        return Outcome()

    async def _open_sluice(self) -> None:
        """What a plain method asks of the loop: it takes a lock, and a thread of its own."""
        async with self.sluice:
            self.opened = await anyio.to_thread.run_sync(lambda: True)

    async def provision(self, operation: Operation, resource: Resource[Config]) -> Outcome:
        async def fetch() -> dict[str, int]:
            self.fetched += 1
            return {"sacks": 3}

        self.keys.add(operation.key("fetch"))
        found = await operation.step("fetch", fetch)
        self.tries += 1
        if self.tries == 1:
            raise RuntimeError("the wind has died down")
        return Outcome(message=f"{found['sacks']} sacks")

    async def status(self, resource: Resource[Config]) -> Observed:
        return Observed(health="ready")

    async def delete(self, operation: Operation, resource: Resource[Config]) -> None:
        return None


async def test_a_step_is_not_computed_again_and_its_key_stays_the_same(data_dir: Path) -> None:
    mill = Mill()
    async with opened(data_dir, mill, workshop=Workshop()) as house:
        made = await house.make("m", "mill")
    assert (mill.tries, mill.fetched, len(mill.keys), made["message"]) == (2, 1, 1, "3 sacks")


async def test_a_plain_method_hears_of_a_cancellation_when_it_reports(data_dir: Path) -> None:
    mill = Mill()
    async with opened(data_dir, mill) as house:
        made = await house.make("m", "mill")
        begun = await house.owner.put(f"/v1/mill/{made['id']}", json={}, headers=ASYNC)
        operation = begun.json()["operation"]
        await anyio.to_thread.run_sync(mill.grinding.wait, 60)
        cancelled = await house.owner.post(f"/v1/operations/{operation}/cancel")
        assert (cancelled.status_code, cancelled.json()["state"]) == (202, "running")  # it cannot be interrupted
        mill.go_on.set()
        assert (await house.ended(operation)).state is State.CANCELLED
        assert mill.opened  # the loop still served it


@pytest.mark.parametrize("died", [False, True], ids=["given back", "lost"])
async def test_work_of_a_plugin_that_is_missing_waits_until_it_is_back(data_dir: Path, died: bool) -> None:
    workshop, hands = Workshop(), Hands()
    gate = workshop.close("provision")
    async with opened(data_dir, workshop=workshop, hands=hands) as house:
        begun = await house.begin()
        await workshop.entered["provision"].wait()
        if died:  # nothing of the attempt is written any more
            await change(house, begun["operation"], lambda o: replace(o, owner="another"))
    async with Core(Settings(data_dir=data_dir), plugins=(), clock=hands) as core:
        waiting = await seen(core, begun["operation"], lambda o: o.state is State.QUEUED)
        assert (waiting.state, waiting.attempt) == (State.QUEUED, 1 if died else 0)
    gate.set()
    hands.move(minutes=2)
    async with opened(data_dir, workshop=workshop, hands=hands) as house:
        assert (await house.ended(begun["operation"])).state is State.SUCCEEDED
