"""Operations over HTTP: look, list, cancel, retry."""

from __future__ import annotations

import pytest
from tests.integration.conftest import ASYNC, PLACE, WHERE, House

from enopax_core.errors import PermanentError

pytestmark = pytest.mark.anyio


async def test_an_operation_says_who_what_where_and_when(house: House) -> None:
    made = await house.make()
    seen = await house.get(f"/v1/operations/{made['operation']}")
    assert {name: seen[name] for name in ("success", "id", "type", "state", "endpoint", "resource", "attempt")} == {
        "success": True,
        "id": made["operation"],
        "type": "provision",
        "state": "succeeded",
        "endpoint": "shelf",
        "resource": made["id"],
        "attempt": 1,
    }
    assert (seen["organisation"], seen["project"]) == (made["organisation"], made["project"])
    assert seen["createdAt"] <= seen["startedAt"] <= seen["finishedAt"]
    assert "error" not in seen


async def test_progress_is_seen_while_it_runs(house: House) -> None:
    gate = house.workshop.close("provision")
    begun = await house.begin()
    await house.workshop.entered["provision"].wait()
    seen: dict[str, object] = {}
    while seen.get("message") != "Sawing":  # written with the next flush
        seen = (await house.get(f"/v1/shelf/{begun['id']}"))["progress"]
    assert seen == {"stage": "provision", "percent": 60, "message": "Sawing"}
    gate.set()
    await house.ended(begun["operation"])


async def test_what_a_custom_endpoint_gave_is_with_its_operation_for_whoever_may_use_it(house: House) -> None:
    path = f"/v1/shelf/{(await house.make())['id']}/books/rare-edition/repair"
    gate = house.workshop.close("repair")
    begun = (await house.owner.post(path, json={"title": "Emma", "pages": 7}, headers=ASYNC)).json()["operation"]
    assert "result" not in await house.get(f"/v1/operations/{begun}")
    gate.set()
    await house.ended(begun)
    member = await house.key("member")
    shown = await member.get(f"/v1/operations/{begun}")
    assert shown.json()["result"] == {"repaired": "rare-edition", "pages": 7}
    assert shown.headers["cache-control"] == "no-store"
    reader = await house.key("member", permissions=["read"])
    assert (await reader.post(path, json={"title": "Emma"})).status_code == 403
    assert (await reader.get(f"/v1/operations/{begun}")).json()["state"] == "succeeded"
    kept = b"".join(file.read_bytes() for file in house.core.settings.data_dir.glob("ledger.sqlite3*"))
    for seen in (
        (await reader.get(f"/v1/operations/{begun}")).text,
        (await house.owner.get("/v1/operations", params=WHERE)).text,
        (await house.owner.get(f"/v1/operations/{begun}/events")).text,
        kept.decode("latin-1"),
    ):
        assert begun in seen
        assert "rare-edition" not in seen


async def test_pages_of_operations_are_in_the_order_of_acceptance(house: House) -> None:
    path = f"/v1/shelf/{(await house.make())['id']}"
    for boards in range(4, 8):
        await house.owner.put(path, json={"boards": boards})
    seen: list[str] = []
    token: str | None = None
    while True:
        params = {**WHERE, "page_size": "2", **({"page_token": token} if token else {})}
        page = (await house.owner.get("/v1/operations", params=params)).json()
        seen += [operation["type"] for operation in page["operations"]]
        token = page.get("nextPageToken")
        if token is None:
            break
    assert seen == ["provision", "update", "update", "update", "update"]


async def test_a_running_operation_is_cancelled(house: House) -> None:
    house.workshop.close("provision")
    begun = await house.begin()
    await house.workshop.entered["provision"].wait()
    cancelled = await house.owner.post(f"/v1/operations/{begun['operation']}/cancel")
    assert cancelled.status_code in (200, 202)
    assert cancelled.json()["id"] == begun["operation"]
    ended = await house.ended(begun["operation"])
    assert (ended.state.value, (ended.error or {})["code"]) == ("cancelled", "cancelled")
    assert (await house.get(f"/v1/shelf/{begun['id']}"))["status"] == "failed"
    again = await house.owner.post(f"/v1/operations/{begun['operation']}/cancel")
    assert (again.status_code, again.json()["type"]) == (409, "urn:enopax:problem:operation-ended")
    assert (await house.owner.delete(f"/v1/shelf/{begun['id']}")).status_code == 200


async def test_a_waiting_operation_is_cancelled_at_once(house: House) -> None:
    gate = house.workshop.close("provision")
    begun = await house.begin()
    update = await house.owner.put(f"/v1/shelf/{begun['id']}", json={"boards": 8}, headers=ASYNC)
    cancelled = await house.owner.post(f"/v1/operations/{update.json()['operation']}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    gate.set()
    await house.ended(begun["operation"])
    assert house.workshop.called("update") == 0


async def test_only_a_failed_operation_is_tried_again(house: House) -> None:
    made = await house.make()
    assert (await house.owner.post(f"/v1/operations/{made['operation']}/retry")).status_code == 409
    house.workshop.failures["provision"] = [PermanentError("No wood.")]
    failed = await house.owner.post("/v1/shelf", json={"name": "two", **PLACE})
    again = await house.owner.post(f"/v1/operations/{failed.json()['operation']}/retry")
    assert (again.status_code, again.json()["state"]) == (202, "queued")
    assert again.headers["location"] == f"/v1/operations/{failed.json()['operation']}"
    ended = await house.ended(failed.json()["operation"])
    assert (ended.state.value, ended.attempt) == ("succeeded", 2)
    assert (await house.get(f"/v1/shelf/{failed.json()['id']}"))["status"] == "active"


async def test_a_reader_may_look_but_not_cancel(house: House) -> None:
    made = await house.make()
    reader = await house.key("member", permissions=["read"])
    assert (await reader.get(f"/v1/operations/{made['operation']}")).status_code == 200
    assert (await reader.post(f"/v1/operations/{made['operation']}/cancel")).status_code == 403
    assert (await reader.post(f"/v1/operations/{made['operation']}/retry")).status_code == 403


async def test_deleting_cancels_what_is_being_provisioned(house: House) -> None:
    house.workshop.close("provision")
    begun = await house.begin()
    await house.workshop.entered["provision"].wait()
    deleted = await house.owner.delete(f"/v1/shelf/{begun['id']}")
    assert deleted.status_code == 200
    assert (await house.get(f"/v1/operations/{begun['operation']}"))["state"] == "cancelled"
    assert (await house.get(f"/v1/shelf/{begun['id']}"))["status"] == "deleted"
    restored = await house.owner.post(f"/v1/shelf/{begun['id']}/restore")
    assert restored.status_code == 409
