"""The HTTP contract on a core of its own: what a client outside relies on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import enopax_example
from enopax_core import Core, Settings, create_app

PLACE = {"organisationName": "Acme Inc", "projectName": "Default Project"}
WHERE = {"org": "Acme Inc", "project": "Default Project"}
pytestmark = pytest.mark.anyio


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    async with Core(Settings(data_dir=tmp_path), plugins=[enopax_example]) as core:
        yield core


@pytest.fixture
async def owner(core: Core) -> AsyncIterator[httpx.AsyncClient]:
    async with client(core, core.owner_key_file.read_text().strip()) as found:
        yield found


def client(core: Core, key: str | None) -> httpx.AsyncClient:
    headers = {} if key is None else {"X-API-Key": key}
    return httpx.AsyncClient(transport=httpx.ASGITransport(create_app(core)), base_url="http://enopax.test", headers=headers)


async def provision(owner: httpx.AsyncClient, name: str = "one", **more: Any) -> dict[str, Any]:
    answer = await owner.post("/v1/example", json={"name": name, **PLACE, **more})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_the_deployed_platform_gets_a_resource_at_once(owner: httpx.AsyncClient) -> None:
    answer = await owner.post("/v1/example", json={"name": "one", "userId": "u1", "sshKeys": [], **PLACE})
    body = answer.json()
    assert (answer.status_code, body["success"], body["status"]) == (201, True, "active")
    assert answer.headers["location"] == f"/v1/example/{body['id']}"
    assert body["credentials"]["token"]
    assert body["access"]


async def test_a_client_that_does_not_wait_follows_the_operation(owner: httpx.AsyncClient) -> None:
    body = {"name": "slow", "delay": 0.2, **PLACE}
    answer = await owner.post("/v1/example", json=body, headers={"Prefer": "respond-async"})
    assert (answer.status_code, answer.json()["status"]) == (202, "provisioning")
    assert answer.headers["preference-applied"] == "respond-async"
    stream = await owner.get(answer.headers["location"] + "/events")
    events = [json.loads(line[6:]) for line in stream.text.splitlines() if line.startswith("data: ")]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "eu.enopax.operation.succeeded"
    positions = [int(line[4:]) for line in stream.text.splitlines() if line.startswith("id: ")]
    assert positions == sorted(set(positions))
    again = await owner.get(answer.headers["location"] + "/events", headers={"Last-Event-ID": str(positions[-1])})
    assert again.status_code == 204


async def test_every_fault_is_named_at_its_pointer(owner: httpx.AsyncClient) -> None:
    answer = await owner.post("/v1/example", json={"name": "", "delay": "5", "nonsense": 1, "sshKeys": ["x"]})
    assert answer.status_code == 422
    pointers = {fault["pointer"] for fault in answer.json()["errors"]}
    assert pointers == {"/name", "/delay", "/nonsense", "/sshKeys/0", "/organisationName"}


async def test_a_deleted_name_is_free_at_once(owner: httpx.AsyncClient) -> None:
    first = await provision(owner)
    assert (await owner.post("/v1/example", json={"name": "one", **PLACE})).status_code == 409
    assert (await owner.delete(f"/v1/example/{first['id']}")).status_code == 200
    assert (await owner.delete(f"/v1/example/{first['id']}")).status_code == 200
    second = await provision(owner)
    assert second["id"] != first["id"]
    listed = (await owner.get("/v1/example", params=WHERE)).json()["resources"]
    assert [resource["id"] for resource in listed] == [second["id"]]
    gone = await owner.get(f"/v1/example/{first['id']}")
    assert (gone.status_code, gone.json()["status"]) == (200, "deleted")
    assert (await owner.put(f"/v1/example/{first['id']}", json={"message": "x"})).status_code == 409


async def test_pages_show_everything_once(owner: httpx.AsyncClient) -> None:
    made = [(await provision(owner, f"n{number}"))["id"] for number in range(5)]
    seen: list[str] = []
    token: str | None = None
    while True:
        page = (
            await owner.get("/v1/example", params={**WHERE, "page_size": 2, **({"page_token": token} if token else {})})
        ).json()
        seen += [resource["id"] for resource in page["resources"]]
        token = page.get("nextPageToken")
        if token is None:
            break
    assert seen == made


async def test_a_changed_resource_refuses_a_stale_etag(owner: httpx.AsyncClient) -> None:
    path = f"/v1/example/{(await provision(owner))['id']}"
    tag = (await owner.get(path)).headers["etag"]
    assert (await owner.get(path, headers={"If-None-Match": tag})).status_code == 304
    assert (await owner.put(path, json={"message": "new"}, headers={"If-Match": tag})).status_code == 200
    assert (await owner.put(path, json={"message": "newer"}, headers={"If-Match": tag})).status_code == 412
    assert (await owner.get(path, headers={"If-None-Match": tag})).status_code == 200


async def test_an_idempotency_key_gets_the_same_answer_again(owner: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = await owner.post("/v1/example", json={"name": "one", **PLACE}, headers=headers)
    second = await owner.post("/v1/example", json={**PLACE, "name": "one"}, headers=headers)
    assert (second.status_code, second.json()) == (first.status_code, first.json())
    other = await owner.post("/v1/example", json={"name": "two", **PLACE}, headers=headers)
    assert other.status_code == 422


async def test_a_preview_changes_nothing(owner: httpx.AsyncClient) -> None:
    answer = await owner.post("/v1/example?dry_run=true", json={"name": "one", **PLACE})
    assert answer.status_code == 200
    assert answer.json()["preview"]["actions"][0]["action"] == "create"
    assert (await owner.get("/v1/example", params=WHERE)).json()["resources"] == []


async def test_another_organisation_sees_nothing(core: Core, owner: httpx.AsyncClient) -> None:
    mine = await provision(owner)
    made = await owner.post("/v1/keys", json={"name": "theirs", "organisation": "Other", "role": "owner"})
    async with client(core, made.json()["key"]) as theirs:
        foreign, missing = await theirs.get(f"/v1/example/{mine['id']}"), await theirs.get("/v1/example/nothing")
        assert (foreign.status_code, foreign.content) == (404, missing.content)
        assert (await theirs.get("/v1/example", params=WHERE)).status_code == 403
        assert (await theirs.get(f"/v1/operations/{mine['operation']}")).status_code == 404
        assert (await theirs.post("/v1/example", json={"name": "x", **PLACE})).status_code == 403
        wider = await theirs.post("/v1/keys", json={"name": "wide", "role": "owner"})
        assert wider.status_code == 403


async def test_a_rotated_key_is_void_at_once(core: Core, owner: httpx.AsyncClient) -> None:
    made = (await owner.post("/v1/keys", json={"name": "k", "organisation": "Acme Inc", "role": "member"})).json()
    async with client(core, made["key"]) as member:
        assert (await member.get("/v1/example", params=WHERE)).status_code == 200
        assert (await member.get("/v1/audit", params=WHERE)).status_code == 403
        assert (await owner.post(f"/v1/keys/{made['id']}/rotate")).status_code == 200
        assert (await member.get("/v1/example", params=WHERE)).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/example", 400),
        ("GET", "/v1/example?org=a&project=b&page_size=0", 400),
        ("GET", "/v1/example?org=a&project=b&page_token=x", 400),
        ("GET", "/v1/example?org=a&project=b&status=x", 400),
        ("GET", "/v1/nothing?org=a&project=b", 404),
        ("PUT", "/v1/example", 405),
        ("DELETE", "/providers/info", 405),
        ("GET", "/nowhere", 404),
        ("POST", "/v1/example/x/restore?dry_run=true", 400),
        ("OPTIONS", "/v1/example", 204),
        ("HEAD", "/providers/info", 200),
    ],
)
async def test_a_wrong_request_says_what_is_wrong(owner: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    answer = await owner.request(method, path)
    assert answer.status_code == status
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.json()["success"], bool(answer.json()["error"])) == (False, True)
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize(
    ("content", "media", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"name": NaN}', "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[]", "application/json", 422),
        (b"name=one", "application/x-www-form-urlencoded", 415),
        (b" " * (1 << 20) + b"{}", "application/json", 413),
    ],
)
async def test_a_bad_body_changes_nothing(owner: httpx.AsyncClient, content: bytes, media: str, status: int) -> None:
    answer = await owner.post("/v1/example", content=content, headers={"Content-Type": media})
    assert answer.status_code == status


async def test_without_a_key_only_the_public_pages_answer(core: Core) -> None:
    async with client(core, None) as nobody:
        for path in ("/providers/info", "/healthz", "/readyz", "/openapi.json", "/docs"):
            assert (await nobody.get(path)).status_code == 200
        refused = await nobody.get("/v1/example", params=WHERE)
        assert (refused.status_code, "www-authenticate" in refused.headers) == (401, True)


async def test_a_cancelled_provisioning_is_cleaned_up_by_delete(owner: httpx.AsyncClient) -> None:
    begun = await owner.post("/v1/example", json={"name": "slow", "delay": 60, **PLACE}, headers={"Prefer": "respond-async"})
    operation, id = begun.json()["operation"], begun.json()["id"]
    cancelled = await owner.post(f"/v1/operations/{operation}/cancel")
    assert cancelled.status_code in (200, 202)
    await owner.get(f"/v1/operations/{operation}/events")
    assert (await owner.get(f"/v1/operations/{operation}")).json()["state"] == "cancelled"
    assert (await owner.get(f"/v1/example/{id}")).json()["status"] == "failed"
    assert (await owner.delete(f"/v1/example/{id}")).status_code == 200


async def test_deleting_cancels_a_provisioning(owner: httpx.AsyncClient) -> None:
    begun = await owner.post("/v1/example", json={"name": "slow", "delay": 60, **PLACE}, headers={"Prefer": "respond-async"})
    assert (await owner.delete(f"/v1/example/{begun.json()['id']}")).status_code == 200
    assert (await owner.get(f"/v1/operations/{begun.json()['operation']}")).json()["state"] == "cancelled"


async def test_a_described_request_asks_for_nothing_that_the_endpoint_does_not_take(owner: httpx.AsyncClient) -> None:
    paths = (await owner.get("/openapi.json")).json()["paths"]
    taken = {parameter["$ref"].rpartition("/")[2] for parameter in paths["/v1/example"]["post"]["parameters"]}
    assert taken == {"IdempotencyKey", "Prefer", "DryRun"}
