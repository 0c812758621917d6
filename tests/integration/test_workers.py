"""Two workers on one ledger: whoever is slow, frozen or dead, each operation is done once and nothing is doubled."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from tests.integration.conftest import ASYNC, House, opened

from enopax_core.engine import engine, worker
from enopax_core.engine.dispatch import MemoryDispatcher
from enopax_core.engine.effects import Effects
from enopax_core.engine.execute import Executor
from enopax_core.engine.present import Presenter
from enopax_core.engine.sweep import Sweep
from enopax_core.engine.worker import Worker
from enopax_core.errors import Cancelled, PermanentError, Unavailable
from enopax_core.ledger import events, operations
from enopax_core.ledger.interface import Transaction
from enopax_core.records.operation import OperationRecord, State

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _by_hand() -> Iterator[None]:
    """Heartbeats come when a test asks for them: one in between would hold a lease that is to be lost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "LEASE", timedelta(hours=1))
        yield


def colleague(house: House) -> tuple[Worker, Sweep]:
    """Another worker on the same ledger, as a second server would have."""
    core = house.core
    presenter = Presenter(core.vault, core.places.of)
    effects, own = Effects(core.registry, core.vault), core.operations._engine.executor
    executor = Executor(
        registry=core.registry,
        governors=core.governors,
        vault=core.vault,
        presenter=presenter,
        reconciler=own._reconciler,
        calls=own._calls,
    )
    other = Worker(
        owner="colleague",
        ledger=core.ledger,
        dispatcher=MemoryDispatcher(1, core.clock),
        vault=core.vault,
        executor=executor,
        effects=effects,
        metrics=core.metrics,
        clock=core.clock,
    )
    return other, Sweep(core.ledger, core.registry, effects, core.clock)


def own_worker(house: House) -> Worker:
    """The worker of the house itself."""
    found: Worker = house.core.operations._engine._worker
    return found


async def look(house: House, id: str) -> OperationRecord:
    """An operation as the ledger has it."""
    found = await house.core.ledger.read(lambda t: operations.get(t, id))
    assert found is not None
    return found


async def test_of_two_workers_that_want_an_operation_one_runs_it(house: House) -> None:
    other, _ = colleague(house)
    begun = [await house.begin(f"n{number}") for number in range(12)]
    async with anyio.create_task_group() as group:
        for one in begun:
            group.start_soon(other.run_one, one["operation"])
            group.start_soon(other.run_one, one["operation"])
    for one in begun:
        assert ((ended := await house.ended(one["operation"])).state, ended.attempt) == (State.SUCCEEDED, 1)
    assert sorted(id for hook, id in house.workshop.calls if hook == "provision") == sorted(one["id"] for one in begun)


async def test_a_frozen_worker_whose_operation_was_taken_over_changes_nothing_any_more(house: House) -> None:
    other, sweep = colleague(house)
    gate = house.workshop.close("provision")
    begun = await house.begin()
    await house.workshop.entered["provision"].wait()  # the house's own worker holds it, and is as if frozen
    house.hands.move(minutes=1)
    assert begun["operation"] in [id for id, _ in await sweep.leases(())]
    del house.workshop.gates["provision"]
    await other.run_one(begun["operation"])
    done = await look(house, begun["operation"])
    assert (done.state, done.attempt) == (State.SUCCEEDED, 2)
    before = (await house.owner.get(f"/v1/shelf/{begun['id']}")).content
    gate.set()
    await house.until(lambda: house.workshop.called("provision") == 2)
    await house.make("later")  # by now the first attempt has tried to write its end
    assert (await house.owner.get(f"/v1/shelf/{begun['id']}")).content == before
    assert await look(house, begun["operation"]) == done
    assert (await house.get(f"/v1/shelf/{begun['id']}/credentials"))["credentials"] == {"token": "token-1"}


async def test_a_worker_that_lost_its_lease_hears_of_it_with_its_next_heartbeat(house: House) -> None:
    own, (other, sweep) = own_worker(house), colleague(house)
    house.workshop.close("provision")
    operation = (await house.begin())["operation"]
    await house.workshop.entered["provision"].wait()
    house.hands.move(minutes=1)
    await sweep.leases(())
    async with anyio.create_task_group() as group:
        group.start_soon(other.run_one, operation)
        await house.until(lambda: operation in other.held)
        await own.renew()
        await house.until(lambda: operation not in own.held)
        group.cancel_scope.cancel()
    assert (await look(house, operation)).owner == "colleague"


async def test_a_worker_that_cannot_renew_in_time_lets_go(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    own = own_worker(house)
    house.workshop.close("provision")
    operation = (await house.begin())["operation"]
    await house.workshop.entered["provision"].wait()

    def fails(*_: object, **__: object) -> None:
        raise Unavailable

    monkeypatch.setattr(operations, "renew", fails)
    await own.renew()
    assert operation in own.held  # the lease still holds
    house.hands.move(minutes=1)
    await own.renew()
    await house.until(lambda: operation not in own.held)


async def test_a_cancellation_reaches_the_worker_that_holds_the_operation(house: House) -> None:
    own = own_worker(house)
    house.workshop.close("provision")
    operation = (await house.begin())["operation"]
    await house.workshop.entered["provision"].wait()

    def ask(transaction: Transaction) -> None:  # as another server does, which cannot tell this one's worker
        record = operations.get(transaction, operation)
        assert record is not None
        operations.save(transaction, replace(record, cancel_requested=True))

    await house.core.ledger.write(ask)
    await own.renew()
    assert (await house.ended(operation)).state is State.CANCELLED


async def test_one_that_is_tried_again_waits_for_what_runs_by_now(house: House) -> None:
    made = await house.make()
    path = f"/v1/shelf/{made['id']}"
    house.workshop.failures["update"] = [PermanentError("No.")]
    failed = (await house.owner.put(path, json={"boards": 4})).json()["operation"]
    gate = house.workshop.close("rotate")
    rotating = (await house.owner.post(path + "/credentials/rotate", headers=ASYNC)).json()["operation"]
    await house.workshop.entered["rotate"].wait()
    assert (await house.owner.post(f"/v1/operations/{failed}/retry")).status_code == 202
    await house.make("sweeps have passed")
    assert (await look(house, failed)).state is State.QUEUED
    gate.set()
    assert (await house.ended(rotating)).state is State.SUCCEEDED
    assert (await house.ended(failed)).state is State.SUCCEEDED


async def test_progress_that_is_written_while_its_operation_ends_is_not_lost(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "FLUSH_SECONDS", 3600)
    holds, go_on = threading.Event(), threading.Event()

    def hold(_: Transaction) -> None:  # the writer, so that what comes waits in its line
        holds.set()
        go_on.wait(60)

    async with opened(data_dir) as house, anyio.create_task_group() as group:
        gate = house.workshop.close("provision")
        operation = (await house.begin())["operation"]
        await house.workshop.entered["provision"].wait()
        group.start_soon(house.core.ledger.write, hold)
        await anyio.to_thread.run_sync(holds.wait)
        gate.set()
        await house.until(lambda: house.workshop.called("status"))
        await anyio.wait_all_tasks_blocked()  # the end has been sent to the ledger
        group.start_soon(own_worker(house).flush)
        await anyio.wait_all_tasks_blocked()
        go_on.set()
        assert (await house.ended(operation)).state is State.SUCCEEDED
        log = await house.core.ledger.read(lambda t: events.of_operation(t, operation=operation, after=0, size=10))
        assert [event.type.rpartition(".")[2] for event in log] == ["queued", "running", "progress", "succeeded"]


async def test_a_due_time_is_taken_by_one_of_two_sweeps(house: House) -> None:
    made = await house.make()
    _, one = colleague(house)
    _, two = colleague(house)
    house.workshop.close("dust")
    house.hands.move(hours=1, minutes=1)
    async with anyio.create_task_group() as group:
        group.start_soon(one.schedule)
        group.start_soon(two.schedule)
    listed = (await house.get(f"/v1/shelf/{made['id']}/operations"))["operations"]
    assert [operation["type"] for operation in listed] == ["provision", "dust"]


async def test_a_scheduled_operation_is_a_visible_change(house: House) -> None:
    made = await house.make()
    path = f"/v1/shelf/{made['id']}"
    tag = (await house.owner.get(path)).headers["etag"]
    house.workshop.close("dust")
    house.hands.move(hours=1, minutes=1)
    await house.workshop.entered["dust"].wait()
    seen = await house.owner.get(path, headers={"If-None-Match": tag})
    assert (seen.status_code, "operation" in seen.json()) == (200, True)


async def test_an_endpoint_that_must_not_be_repeated_fails_when_its_worker_is_lost(house: House) -> None:
    made = await house.make()
    _, sweep = colleague(house)
    house.workshop.close("clear")
    begun = await house.owner.request("DELETE", f"/v1/shelf/{made['id']}/books", headers=ASYNC)
    await house.workshop.entered["clear"].wait()
    house.hands.move(minutes=1)
    await sweep.leases(())
    ended = await look(house, begun.json()["operation"])
    assert (ended.state, (ended.error or {})["code"], ended.attempt) == (State.FAILED, "worker-lost", 1)


async def test_a_ledger_that_fails_for_a_moment_fails_no_operation(house: House) -> None:
    house.workshop.failures["provision"] = [Unavailable()]
    made = await house.make()
    assert (await look(house, made["operation"])).attempt == 2


async def test_a_provider_that_calls_its_own_operation_cancelled_cancels_it(house: House) -> None:
    house.workshop.failures["provision"] = [Cancelled()]
    begun = await house.begin()
    assert (await house.ended(begun["operation"])).state is State.CANCELLED


async def test_a_failed_restore_can_be_tried_again_unless_its_name_was_taken(house: House) -> None:
    path = f"/v1/shelf/{(await house.make())['id']}"
    await house.owner.delete(path)
    house.workshop.failures["restore"] = [PermanentError("The wood is rotten."), PermanentError("Still.")]
    failed = (await house.owner.post(path + "/restore")).json()["operation"]
    assert (await house.get(path))["status"] == "deleted"
    other = await house.make()
    taken = await house.owner.post(f"/v1/operations/{failed}/retry")
    assert (taken.status_code, taken.json()["type"]) == (409, "urn:enopax:problem:name-taken")
    await house.owner.delete(f"/v1/shelf/{other['id']}?purge=true")
    assert (await house.owner.post(f"/v1/operations/{failed}/retry")).status_code == 202
    assert (await house.ended(failed)).state is State.FAILED
    assert (await house.owner.post(f"/v1/operations/{failed}/retry")).status_code == 202
    assert (await house.ended(failed)).state is State.SUCCEEDED
    assert (await house.get(path))["status"] == "active"


async def test_a_failed_deletion_can_be_tried_again_until_another_did_it(house: House) -> None:
    path = f"/v1/shelf/{(await house.make())['id']}"
    house.workshop.failures["delete"] = [PermanentError("It is nailed to the wall.")]
    failed = (await house.owner.delete(path)).json()["operation"]
    assert (await house.get(path))["status"] == "failed"
    assert (await house.owner.delete(path)).status_code == 200
    assert (await house.owner.post(f"/v1/operations/{failed}/retry")).status_code == 409


async def test_what_never_came_into_service_is_kept_for_a_day(house: House) -> None:
    house.workshop.failures["provision"] = [PermanentError("No wood.")]
    failed = await house.owner.post("/v1/shelf", json={"name": "one", "organisationName": "Acme Inc"})
    path = f"/v1/shelf/{failed.json()['id']}"
    assert (await house.owner.delete(path)).status_code == 200
    assert (await house.owner.post(path + "/restore")).status_code == 409
    house.hands.move(hours=25)
    assert (await house.owner.get(path)).status_code == 404


def test_pauses_between_attempts_double_and_end_at_five_minutes() -> None:
    def middle(low: float, high: float) -> float:
        return (low + high) / 2

    first = worker.backoff(1, middle)
    assert [worker.backoff(n, middle) / first for n in (2, 3, 4)] == [2, 4, 8]
    assert worker.backoff(40, middle) == timedelta(minutes=5)
    assert worker.backoff(40, max) == timedelta(minutes=6.25)
