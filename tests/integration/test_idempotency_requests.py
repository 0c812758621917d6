"""`Idempotency-Key`: one request, one change, one answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.integration.conftest import ASYNC, PLACE, House, opened
from tests.integration.shelf import Workshop

from enopax_core.errors import PermanentError
from enopax_core.ledger.interface import Transaction

pytestmark = pytest.mark.anyio
KEY = {"Idempotency-Key": "k-1"}


async def test_the_same_request_gets_the_recorded_answer_credentials_included(house: House) -> None:
    body = {"name": "one", "boards": 4, **PLACE}
    first = await house.owner.post("/v1/shelf", json=body, headers=KEY)
    await house.owner.put(f"/v1/shelf/{first.json()['id']}", json={"boards": 9})
    again = await house.owner.post("/v1/shelf", json=dict(reversed(body.items())), headers={"Idempotency-Key": '"k-1"'})
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["location"] == first.headers["location"]
    assert again.json()["credentials"] == {"token": "token-1"}
    assert house.workshop.called("provision") == 1


async def test_recorded_answers_are_encrypted_at_rest(house: House) -> None:
    await house.owner.post("/v1/shelf", json={"name": "one", **PLACE}, headers=KEY)
    assert b"token-1" not in b"".join(file.read_bytes() for file in house.core.settings.data_dir.glob("ledger.sqlite3*"))


@pytest.mark.parametrize("what", ["body", "path", "query", "method"])
async def test_another_request_with_the_same_key_is_refused(house: House, what: str) -> None:
    path = f"/v1/shelf/{(await house.make())['id']}"
    assert (await house.owner.put(path, json={"boards": 4}, headers=KEY)).status_code == 200
    method, where, body = "PUT", path, {"boards": 4}
    match what:
        case "body":
            body = {"boards": 5}
        case "path":
            where = f"/v1/shelf/{(await house.make('two'))['id']}"
        case "query":
            where = path + "?x=1"
        case "method":
            method = "PATCH"
    answer = await house.owner.request(method, where, json=body, headers=KEY)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:enopax:problem:idempotency-mismatch")


async def test_a_key_belongs_to_its_caller(house: House) -> None:
    first = await house.owner.post("/v1/shelf", json={"name": "one", **PLACE}, headers=KEY)
    other = await house.key("member")
    second = await other.post("/v1/shelf", json={"name": "two", **PLACE}, headers=KEY)
    assert (second.status_code, second.json()["id"] != first.json()["id"]) == (201, True)


async def test_while_the_first_is_not_answered_the_second_is_told_to_come_again(house: House) -> None:
    gate = house.workshop.close("provision")
    body = {"name": "one", **PLACE}
    first = asyncio.create_task(house.owner.post("/v1/shelf", json=body, headers=KEY))
    await house.workshop.entered["provision"].wait()
    second = await house.owner.post("/v1/shelf", json=body, headers=KEY)
    assert (second.status_code, second.json()["type"]) == (409, "urn:enopax:problem:request-in-flight")
    assert int(second.headers["retry-after"]) >= 1
    gate.set()
    answered = await first
    assert answered.status_code == 201
    assert (await house.owner.post("/v1/shelf", json=body, headers=KEY)).json() == answered.json()


async def test_what_was_accepted_answers_the_same_202_again(house: House) -> None:
    gate = house.workshop.close("provision")
    body = {"name": "one", **PLACE}
    first = await house.owner.post("/v1/shelf", json=body, headers=KEY | ASYNC)
    gate.set()
    await house.ended(first.json()["operation"])
    again = await house.owner.post("/v1/shelf", json=body, headers=KEY | ASYNC)
    assert (again.status_code, again.json(), again.headers["location"]) == (202, first.json(), first.headers["location"])


async def test_only_success_binds_a_key(house: House) -> None:
    assert (await house.owner.post("/v1/shelf", json={"name": "", **PLACE}, headers=KEY)).status_code == 422
    assert (await house.owner.post("/v1/shelf?dry_run=true", json={"name": "one", **PLACE}, headers=KEY)).status_code == 200
    assert (await house.owner.post("/v1/shelf", json={"name": "one", **PLACE}, headers=KEY)).status_code == 201


async def test_a_key_is_forgotten_after_a_day(house: House) -> None:
    first = await house.owner.post("/v1/shelf", json={"name": "one", **PLACE}, headers=KEY)
    house.hands.move(hours=23)
    assert (await house.owner.post("/v1/shelf", json={"name": "one", **PLACE}, headers=KEY)).json() == first.json()
    house.hands.move(hours=2)
    assert (await house.owner.post("/v1/shelf", json={"name": "one", **PLACE}, headers=KEY)).status_code == 409
    assert (await house.owner.post("/v1/shelf", json={"name": "two", **PLACE}, headers=KEY)).status_code == 201


@pytest.mark.parametrize("key", ["", '""', "a b", "x" * 256, "ä"])
async def test_a_malformed_key_is_refused(house: House, key: str) -> None:
    headers = [(b"Idempotency-Key", key.encode("latin-1"))]
    answer = await house.owner.post("/v1/shelf", json={"name": "one", **PLACE}, headers=headers)
    assert answer.status_code == 400


async def test_every_changing_method_takes_a_key(house: House) -> None:
    made = await house.make()
    path = f"/v1/shelf/{made['id']}"
    key = (await house.owner.post("/v1/keys", json={"name": "k", "role": "member"})).json()
    house.workshop.failures["update"] = [PermanentError("No."), PermanentError("No.")]
    failed = await house.owner.put(path, json={"boards": 8})
    waiting = await _waiting(house)
    calls: list[tuple[str, str, dict[str, object] | None]] = [
        ("POST", f"/v1/operations/{failed.json()['operation']}/retry", None),
        ("POST", f"/v1/operations/{waiting}/cancel", {}),
        ("PUT", path, {"boards": 3}),
        ("PATCH", path, {"boards": 4}),
        ("POST", path + "/books", {"title": "Emma"}),
        ("POST", path + "/books/7/repair", {"title": "Emma"}),
        ("POST", path + "/credentials/rotate", {}),
        ("POST", path + "/tokens", {}),
        ("POST", "/v1/keys", {"name": "k", "role": "member", "organisation": "Acme Inc"}),
        ("POST", f"/v1/keys/{key['id']}/rotate", {}),
        ("DELETE", f"/v1/keys/{key['id']}", None),
        ("DELETE", path, None),
        ("DELETE", path, None),  # once more, with a key of its own: nothing is left to do
        ("POST", path + "/restore", {}),
        ("DELETE", path + "?purge=true", None),
    ]
    for number, (method, where, body) in enumerate(calls):
        headers = {"Idempotency-Key": f"n{number}"}
        first = await house.owner.request(method, where, json=body, headers=headers)
        again = await house.owner.request(method, where, json=body, headers=headers)
        assert first.status_code < 300, (method, where, first.text)
        assert (again.status_code, again.json()) == (first.status_code, first.json()), (method, where)
        for name in ("location", "etag", "cache-control", "preference-applied"):
            assert again.headers.get(name) == first.headers.get(name), (method, where)
        if where.endswith("/retry"):
            await house.ended(failed.json()["operation"])
    assert (house.workshop.called("put"), house.workshop.called("repair")) == (1, 1)
    assert house.workshop.called("rotate") == 1


async def _waiting(house: House) -> str:
    """An operation that waits behind one that does not end."""
    house.workshop.close("provision")
    begun = await house.begin("busy")
    changed = await house.owner.put(f"/v1/shelf/{begun['id']}", json={"boards": 8}, headers=ASYNC)
    operation: str = changed.json()["operation"]
    return operation


async def _lose_answers(house: House) -> None:
    """What a crash between accepting and answering leaves behind: keys are bound, answers not recorded."""

    def lose(transaction: Transaction) -> None:
        for row in transaction.execute("sealed_idempotency"):
            transaction.execute("reseal_idempotency", rowid=row["rowid"], sealed=None)

    await house.core.ledger.write(lose)


@pytest.mark.parametrize("what", ["cancel", "retry"])
async def test_a_lost_answer_about_an_operation_is_made_anew_as_well(house: House, what: str) -> None:
    house.workshop.failures["provision"] = [PermanentError("No wood.")]
    failed = (await house.owner.post("/v1/shelf", json={"name": "one", **PLACE})).json()["operation"]
    path = f"/v1/operations/{failed if what == 'retry' else await _waiting(house)}"
    first = await house.owner.post(f"{path}/{what}", headers=KEY)
    assert first.status_code < 300
    if what == "retry":
        await house.ended(failed)
    await _lose_answers(house)
    again = await house.owner.post(f"{path}/{what}", headers=KEY)
    assert (again.status_code, again.json()) == (first.status_code, await house.get(path))


async def test_a_body_of_delete_counts_as_well(house: House) -> None:
    path = f"/v1/shelf/{(await house.make())['id']}"
    assert (await house.owner.request("DELETE", path, json={"why": "a"}, headers=KEY)).status_code == 200
    assert (await house.owner.request("DELETE", path, json={"why": "b"}, headers=KEY)).status_code == 422


async def test_a_purge_answers_the_same_again_although_nothing_is_left(house: House) -> None:
    path = f"/v1/shelf/{(await house.make())['id']}?purge=true"
    first = await house.owner.delete(path, headers=KEY)
    again = await house.owner.delete(path, headers=KEY)
    assert (first.status_code, again.status_code, again.json()) == (200, 200, first.json())


async def test_a_rotated_key_goes_on_with_its_own_idempotency_keys(house: House) -> None:
    made = (await house.owner.post("/v1/keys", json={"name": "k", "role": "member", "organisation": "Acme Inc"})).json()
    body = {"name": "one", **PLACE}
    first = await house.client(made["key"]).post("/v1/shelf", json=body, headers=KEY)
    rotated = (await house.owner.post(f"/v1/keys/{made['id']}/rotate")).json()
    again = await house.client(rotated["key"]).post("/v1/shelf", json=body, headers=KEY)
    assert (again.status_code, again.json()) == (201, first.json())


async def test_an_answer_lost_in_a_crash_is_made_anew_from_the_operation(data_dir: Path) -> None:
    workshop = Workshop()
    body = {"name": "one", **PLACE}
    async with opened(data_dir, workshop=workshop) as house:
        first = await house.owner.post("/v1/shelf", json=body, headers=KEY)
        await _lose_answers(house)
    async with opened(data_dir, workshop=workshop) as house:
        again = await house.owner.post("/v1/shelf", json=body, headers=KEY)
        assert again.status_code == 201
        assert (again.json()["id"], again.json()["credentials"]) == (first.json()["id"], {"token": "token-1"})
        assert workshop.called("provision") == 1
