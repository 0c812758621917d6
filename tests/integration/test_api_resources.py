"""Resources over HTTP: what the contract says of each method, on a core of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.integration.conftest import ASYNC, ORGANISATION, PLACE, PROJECT, WHERE, House

from enopax_core.errors import PermanentError
from enopax_core.records.operation import State

pytestmark = pytest.mark.anyio


# ── POST ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_resource_ready_within_the_wait_answers_201(house: House) -> None:
    answer = await house.owner.post("/v1/shelf", json={"name": "one", "userId": "u", "sshKeys": [], **PLACE})
    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/shelf/{body['id']}"
    assert (body["success"], body["status"], body["userId"]) == (True, "active", "u")
    assert body["access"] == body["connection"]["front"] == f"shelf://acme-inc/{body['id']}"
    assert body["credentials"] == {"token": "token-1"}
    assert body["progress"]["stage"] == "complete"
    assert answer.headers["etag"] == (await house.owner.get(answer.headers["location"])).headers["etag"]


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("respond-async", "respond-async"),
        ("wait=0", "wait=0"),
        ("respond-async, wait=0", "wait=0"),
        ('handling=lenient, WAIT="0"', "wait=0"),
    ],
)
async def test_who_does_not_wait_gets_202_and_the_operation(house: House, prefer: str, applied: str) -> None:
    gate = house.workshop.close("provision")
    answer = await house.owner.post("/v1/shelf", json={"name": "one", **PLACE}, headers={"Prefer": prefer})
    body = answer.json()
    assert (answer.status_code, body["success"], body["status"]) == (202, True, "provisioning")
    assert answer.headers["location"] == f"/v1/operations/{body['operation']}"
    assert answer.headers["preference-applied"] == applied
    assert "credentials" not in body
    assert body["message"]
    gate.set()
    assert (await house.ended(body["operation"])).state.value == "succeeded"
    assert (await house.get(f"/v1/shelf/{body['id']}"))["status"] == "active"


@pytest.mark.parametrize(("prefer", "applied"), [("wait=5", "wait=5"), ("wait=9999", "wait=60"), ("wait=nonsense", None)])
async def test_the_wait_is_what_the_client_prefers(house: House, prefer: str, applied: str | None) -> None:
    answer = await house.owner.post("/v1/shelf", json={"name": "one", **PLACE}, headers={"Prefer": prefer})
    assert answer.status_code == 201
    assert answer.headers.get("preference-applied") == applied


async def test_a_failed_provisioning_is_accepted_but_no_success(house: House) -> None:
    house.workshop.failures["provision"] = [PermanentError("There is no wood.")]
    answer = await house.owner.post("/v1/shelf", json={"name": "one", **PLACE})
    body = answer.json()
    assert (answer.status_code, body["success"], body["status"]) == (202, False, "failed")
    assert body["error"] == body["message"] == "There is no wood."
    operation = await house.get(f"/v1/operations/{body['operation']}")
    assert (operation["state"], operation["error"]["code"]) == ("failed", "provider-refused")
    assert (await house.owner.post("/v1/shelf", json={"name": "one", **PLACE})).status_code == 409
    assert (await house.owner.delete(f"/v1/shelf/{body['id']}")).status_code == 200
    assert (await house.owner.post("/v1/shelf", json={"name": "one", **PLACE})).status_code == 201


async def test_every_fault_of_a_body_is_named_at_its_pointer(house: House) -> None:
    body = {"name": "a\x07b", "boards": "3", "nonsense": 1, "a/b": 2, "plan": "gold", "sshKeys": ["x"], "measures": {"width": 0}}
    answer = await house.owner.post("/v1/shelf", json=body)
    assert answer.status_code == 422
    pointers = {fault["pointer"] for fault in answer.json()["errors"]}
    expected = {"/name", "/boards", "/nonsense", "/a~1b", "/plan", "/sshKeys/0", "/measures/width", "/organisationName"}
    assert pointers == expected
    assert house.workshop.calls == []


@pytest.mark.parametrize("name", ["", "x" * 101, "a\nb", "\x7f", "\ud800", " "])
async def test_a_name_that_nobody_can_type_is_refused(house: House, name: str) -> None:
    body = json.dumps({"name": name, **PLACE})
    answer = await house.owner.post("/v1/shelf", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/name"]


async def test_a_place_may_hold_spaces_and_unicode_and_its_id_fits_a_label(house: House) -> None:
    made = await house.make("Ünïcode näme " * 7)
    assert len(made["id"]) <= 63
    assert set(made["id"]) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert (made["organisation"], made["project"]) == (ORGANISATION, PROJECT)


async def test_a_resource_without_a_project_lies_in_the_default_one(house: House) -> None:
    answer = await house.owner.post("/v1/stool", json={"name": "one", "organisationName": ORGANISATION})
    assert answer.json()["project"] == "Default Project"


async def test_a_plan_presets_what_the_body_leaves_out(house: House) -> None:
    oak = await house.make("a", plan="shelf-oak")
    assert (oak["plan"], oak["config"]["colour"]) == ("shelf-oak", "oak")
    painted = await house.make("b", plan="shelf-oak", colour="red")
    assert painted["config"]["colour"] == "red"
    assert (await house.make("c"))["plan"] == "shelf-free"


async def test_a_name_is_taken_by_one_live_resource_of_the_project(house: House) -> None:
    await house.make("one")
    taken = await house.owner.post("/v1/shelf", json={"name": "one", **PLACE})
    assert (taken.status_code, taken.json()["type"]) == (409, "urn:enopax:problem:name-taken")
    assert (await house.owner.post("/v1/shelf?dry_run=true", json={"name": "one", **PLACE})).status_code == 409
    await house.make("one", endpoint="stool")
    elsewhere = await house.owner.post("/v1/shelf", json={"name": "one", **PLACE, "projectName": "Another"})
    assert elsewhere.status_code == 201


async def test_a_preview_says_what_would_happen_and_changes_nothing(house: House) -> None:
    body = {"name": "one", "plan": "shelf-oak", "boards": 7, "password": "hush", **PLACE}
    answer = await house.owner.post("/v1/shelf?dry_run=true", json=body)
    preview = answer.json()["preview"]
    assert preview["actions"] == [{"action": "create", "what": "7 boards", "detail": "oak"}]
    assert preview["price"] == {"amount": "8.00", "currency": "USD", "per": "month"}
    assert (preview["config"]["boards"], preview["config"]["password"]) == (7, "***")
    assert (await house.get("/v1/shelf?org=Acme Inc&project=Größe 1"))["resources"] == []
    assert (await house.owner.post("/v1/shelf?dry_run=true", json={"name": "one", "boards": 0, **PLACE})).status_code == 422
    reader = await house.key("member", permissions=["read"])
    assert (await reader.post("/v1/shelf?dry_run=true", json=body)).status_code == 403
    assert (await house.owner.post("/v1/shelf?dry_run=maybe", json=body)).status_code == 400


async def test_secrets_of_a_configuration_are_never_shown(house: House) -> None:
    made = await house.make("one", password="hush")
    assert made["config"]["password"] == "***"
    shown = await house.owner.get(f"/v1/shelf/{made['id']}")
    assert "hush" not in shown.text
    changes = await house.owner.put(f"/v1/shelf/{made['id']}?dry_run=true", json={"password": "louder"})
    assert changes.json()["changes"] == [{"pointer": "/password", "old": "***", "new": "***", "effect": "in-place"}]
    assert b"hush" not in b"".join(file.read_bytes() for file in house.core.settings.data_dir.glob("ledger.sqlite3*"))


# ── GET ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_etag_changes_with_every_visible_change(house: House) -> None:
    made = await house.make()
    path = f"/v1/shelf/{made['id']}"
    tag = (await house.owner.get(path)).headers["etag"]
    assert tag.startswith('"')
    same = await house.owner.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert (await house.owner.get(path, headers={"If-None-Match": "*"})).status_code == 304
    gate = house.workshop.close("update")
    await house.owner.put(path, json={"boards": 4}, headers=ASYNC)
    await house.workshop.entered["update"].wait()
    waiting = (await house.owner.get(path)).headers["etag"]
    assert waiting != tag
    gate.set()
    await house.ended((await house.get(path))["operation"])
    assert (await house.owner.get(path)).headers["etag"] not in (tag, waiting)


async def test_pages_show_what_was_there_exactly_once(house: House) -> None:
    made = [(await house.make(f"n{number}"))["id"] for number in range(5)]
    seen: list[str] = []
    token: str | None = None
    while True:
        params = {**WHERE, "page_size": "2", **({"page_token": token} if token else {})}
        page = (await house.owner.get("/v1/shelf", params=params)).json()
        seen += [resource["id"] for resource in page["resources"]]
        if len(seen) == 2:  # in between: one of those to come is deleted, a new one made
            await house.owner.delete(f"/v1/shelf/{made[4]}")
            made[4] = (await house.make("late"))["id"]
        token = page.get("nextPageToken")
        if token is None:
            break
    assert seen == made


async def test_a_page_that_is_exactly_full_is_the_last(house: House) -> None:
    for number in range(2):
        await house.make(f"n{number}")
    page = (await house.owner.get("/v1/shelf", params={**WHERE, "page_size": "2"})).json()
    assert (len(page["resources"]), "nextPageToken" in page) == (2, False)


async def test_a_list_filters_by_status_and_shows_deleted_ones_only_then(house: House) -> None:
    gone, kept = await house.make("gone"), await house.make("kept")
    await house.owner.delete(f"/v1/shelf/{gone['id']}")

    async def ids(**filters: str) -> list[str]:
        listed = (await house.owner.get("/v1/shelf", params={**WHERE, **filters})).json()["resources"]
        return [resource["id"] for resource in listed]

    assert await ids() == [kept["id"]]
    assert await ids(status="deleted") == [gone["id"]]
    assert await ids(status="active") == [kept["id"]]
    assert await ids(status="failed") == []


async def test_what_a_provider_does_not_declare_is_not_there(house: House) -> None:
    path = f"/v1/stool/{(await house.make(endpoint='stool'))['id']}"
    for method, below in [
        ("GET", "/metrics"),
        ("GET", "/logs"),
        ("PUT", ""),
        ("PATCH", ""),
        ("POST", "/restore"),
        ("POST", "/credentials/rotate"),
        ("GET", "/nothing"),
    ]:
        answer = await house.owner.request(method, path + below, json={} if method != "GET" else None)
        assert answer.status_code == 404, (method, below)
    listed = {p["endpoint"]: p for p in (await house.get("/providers/info"))["providers"]}
    assert listed["stool"]["capabilities"] == ["provision", "status", "delete"]
    assert "update" not in listed["stool"]["schema"]


async def test_metrics_and_logs_come_from_the_backend(house: House) -> None:
    path = f"/v1/shelf/{(await house.make(boards=6))['id']}"
    measured = await house.get(path + "/metrics")
    assert measured["metrics"] == {"boards": {"value": 6.0, "unit": "boards", "help": "Boards."}}
    assert measured["collectedAt"].endswith("Z")
    assert [line["message"] for line in (await house.get(path + "/logs"))["lines"]] == ["built"]


async def test_while_there_is_no_backend_nothing_is_measured(house: House) -> None:
    gate = house.workshop.close("provision")
    path = f"/v1/shelf/{(begun := await house.begin())['id']}"
    for below, status in [("/metrics", 409), ("/credentials", 409), ("/contents", 409), ("/logs", 200), ("/operations", 200)]:
        assert (await house.owner.get(path + below)).status_code == status, below
    gate.set()
    await house.ended(begun["operation"])
    await house.owner.delete(path)
    for below, status in [("/metrics", 409), ("/credentials", 409), ("/logs", 200), ("/operations", 200)]:
        assert (await house.owner.get(path + below)).status_code == status, below


async def test_a_resource_lists_its_operations_in_order(house: House) -> None:
    path = f"/v1/shelf/{(await house.make())['id']}"
    await house.owner.put(path, json={"boards": 4})
    await house.owner.delete(path)
    listed = (await house.get(path + "/operations"))["operations"]
    assert [operation["type"] for operation in listed] == ["provision", "update", "delete"]
    assert {operation["state"] for operation in listed} == {"succeeded"}


# ── PUT, PATCH ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_partial_object_changes_what_it_names(house: House, method: str) -> None:
    made = await house.make(colour="red")
    answer = await house.owner.request(method, f"/v1/shelf/{made['id']}", json={"boards": 9})
    assert (answer.status_code, answer.json()["config"]["boards"], answer.json()["config"]["colour"]) == (200, 9, "red")
    assert house.workshop.built[made["id"]]["boards"] == 9


async def test_a_resource_does_not_move(house: House) -> None:
    made = await house.make(userId="u")
    path = f"/v1/shelf/{made['id']}"
    unchanged = await house.owner.put(path, json={**PLACE, "userId": "u", "boards": 4})
    assert unchanged.status_code == 200
    moved = await house.owner.put(path, json={"organisationName": "Other", "projectName": "p", "userId": "v"})
    assert moved.status_code == 422
    assert {fault["pointer"] for fault in moved.json()["errors"]} == {"/organisationName", "/projectName", "/userId"}


async def test_a_preview_of_a_change_names_fields_and_effects(house: House) -> None:
    path = f"/v1/shelf/{(await house.make())['id']}"
    answer = await house.owner.put(path + "?dry_run=true", json={"boards": 4, "colour": "red", "name": "two"})
    assert answer.json()["changes"] == [
        {"pointer": "/boards", "old": 3, "new": 4, "effect": "in-place"},
        {"pointer": "/colour", "old": "white", "new": "red", "effect": "restart"},
        {"pointer": "/name", "old": "one", "new": "two", "effect": "in-place"},
    ]
    assert (await house.get(path))["config"]["boards"] == 3
    assert (await house.owner.put(path + "?dry_run=true", json={"boards": 0})).status_code == 422


async def test_a_rename_to_a_taken_name_is_refused(house: House) -> None:
    await house.make("one")
    path = f"/v1/shelf/{(await house.make('two'))['id']}"
    assert (await house.owner.patch(path, json={"name": "one"})).status_code == 409
    renamed = await house.owner.patch(path, json={"name": "three"})
    assert (renamed.status_code, renamed.json()["name"]) == (200, "three")
    await house.make("two")


async def test_if_match_is_compared_strongly_when_the_change_is_accepted(house: House) -> None:
    path = f"/v1/shelf/{(await house.make())['id']}"
    tag = (await house.owner.get(path)).headers["etag"]
    put = house.owner.put
    assert (await put(path, json={"boards": 4}, headers={"If-Match": f"W/{tag}"})).status_code == 412
    assert (await put(path, json={"boards": 4}, headers={"If-Match": f'"x", {tag}'})).status_code == 200
    assert (await put(path, json={"boards": 5}, headers={"If-Match": tag})).status_code == 412
    assert (await house.owner.delete(path, headers={"If-Match": tag})).status_code == 412
    assert (await put(path, json={"boards": 5}, headers={"If-Match": "*"})).status_code == 200
    book = {"title": "a"}
    assert (await house.owner.post(path + "/books/7/repair", json=book, headers={"If-Match": tag})).status_code == 412
    now = (await house.owner.get(path)).headers["etag"]
    assert (await house.owner.post(path + "/books/7/repair", json=book, headers={"If-Match": now})).status_code == 200


async def test_a_change_to_a_busy_resource_waits_in_its_line(house: House) -> None:
    gate = house.workshop.close("provision")
    begun = await house.begin()
    path = f"/v1/shelf/{begun['id']}"
    changed = await house.owner.put(path, json={"boards": 8}, headers=ASYNC)
    assert changed.status_code == 202
    assert (await house.get(path))["operation"] == begun["operation"]
    assert (await house.get(f"/v1/operations/{changed.json()['operation']}"))["state"] == "queued"
    gate.set()
    await house.ended(changed.json()["operation"])
    seen = await house.get(path)
    assert (seen["config"]["boards"], house.workshop.built[begun["id"]]["boards"]) == (8, 8)
    assert {c["type"]: c["status"] for c in seen["conditions"]} == {"Ready": "True", "Synced": "True"}


async def test_a_failed_update_leaves_what_was_asked_and_is_not_in_sync(house: House) -> None:
    path = f"/v1/shelf/{(await house.make())['id']}"
    house.workshop.failures["update"] = [PermanentError("Too long.")]
    answer = await house.owner.put(path, json={"boards": 8})
    assert (answer.status_code, answer.json()["success"]) == (202, False)
    seen = await house.get(path)
    assert (seen["status"], seen["config"]["boards"]) == ("degraded", 8)
    synced = next(c for c in seen["conditions"] if c["type"] == "Synced")
    assert (synced["status"], synced["reason"], synced["message"]) == ("False", "UpdateFailed", "Too long.")
    again = await house.owner.post(f"/v1/operations/{answer.json()['operation']}/retry")
    assert again.status_code == 202
    await house.ended(answer.json()["operation"])
    assert (await house.get(path))["status"] == "active"


# ── DELETE, restore, purge ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_deleted_resource_stays_readable_and_frees_its_name_at_once(house: House) -> None:
    first = await house.make()
    path = f"/v1/shelf/{first['id']}"
    gate = house.workshop.close("delete")
    deleting = await house.owner.delete(path, headers=ASYNC)
    assert (deleting.status_code, deleting.json()["status"]) == (202, "deleting")
    second = await house.make()
    assert second["id"] != first["id"]
    assert (await house.owner.put(path, json={"boards": 4})).status_code == 409
    gate.set()
    await house.ended(deleting.json()["operation"])
    again = await house.owner.delete(path)
    assert (again.status_code, again.json()["success"], bool(again.json()["message"])) == (200, True, True)
    gone = await house.get(path)
    assert (gone["status"], "expiresAt" in gone) == ("deleted", True)
    for method, below in [("PUT", ""), ("POST", "/tokens"), ("POST", "/credentials/rotate")]:
        assert (await house.owner.request(method, path + below, json={})).status_code == 409, (method, below)
    taken = await house.owner.post(path + "/restore")
    assert (taken.status_code, taken.json()["type"]) == (409, "urn:enopax:problem:name-taken")
    await house.owner.delete(f"/v1/shelf/{second['id']}")
    back = await house.owner.post(path + "/restore")
    assert (back.status_code, back.json()["status"], "expiresAt" in back.json()) == (200, "active", False)
    assert (await house.owner.post(path + "/restore")).status_code == 409
    assert (await house.get(path + "/credentials"))["credentials"] == first["credentials"]


async def test_a_change_of_a_resource_that_is_being_restored_waits_in_its_line(house: House) -> None:
    made = await house.make()
    path = f"/v1/shelf/{made['id']}"
    await house.owner.delete(path)
    gate = house.workshop.close("restore")
    assert (await house.owner.post(path + "/restore", headers=ASYNC)).status_code == 202
    changed = await house.owner.put(path, json={"boards": 7}, headers=ASYNC)
    assert changed.status_code == 202
    gate.set()
    assert (await house.ended(changed.json()["operation"])).state is State.SUCCEEDED
    assert house.workshop.built[made["id"]]["boards"] == 7


async def test_what_waits_behind_a_restore_that_fails_is_cancelled(house: House) -> None:
    made = await house.make()
    path = f"/v1/shelf/{made['id']}"
    await house.owner.delete(path)
    gate = house.workshop.close("restore")
    house.workshop.failures["restore"].append(PermanentError("The wood is rotten."))
    await house.owner.post(path + "/restore", headers=ASYNC)
    changed = await house.owner.put(path, json={"boards": 7}, headers=ASYNC)
    gate.set()
    assert (await house.ended(changed.json()["operation"])).state is State.CANCELLED
    assert (await house.get(path))["status"] == "deleted"


async def test_after_the_retention_nothing_is_there_for_any_method(house: House) -> None:
    path = f"/v1/shelf/{(await house.make())['id']}"
    await house.owner.delete(path)
    house.hands.move(days=6)
    assert (await house.owner.get(path)).status_code == 200
    house.hands.move(days=2)
    for method, below in [("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/restore"), ("GET", "/logs")]:
        answer = await house.owner.request(method, path + below, json={} if method in ("PUT", "POST") else None)
        assert answer.status_code == 404, (method, below)


async def test_a_purge_needs_its_permission_and_leaves_nothing(house: House) -> None:
    made = await house.make()
    path = f"/v1/shelf/{made['id']}"
    manager = await house.key("manager")
    assert (await manager.delete(path + "?purge=true")).status_code == 403
    admin = await house.key("admin")
    purged = await admin.delete(path + "?purge=true")
    assert (purged.status_code, purged.json()["success"]) == (200, True)
    assert made["id"] not in house.workshop.built
    assert (await house.owner.get(path)).status_code == 404
    assert (await house.owner.delete(path)).status_code == 404


async def test_where_no_data_is_kept_the_record_stays_for_a_day(house: House) -> None:
    path = f"/v1/stool/{(await house.make(endpoint='stool'))['id']}"
    assert (await house.owner.delete(path)).status_code == 200
    assert (await house.get(path))["status"] == "deleted"
    house.hands.move(hours=25)
    assert (await house.owner.get(path)).status_code == 404


# ── Credentials and tokens ────────────────────────────────────────────────────────────────────────────────────────────


async def test_credentials_stand_where_the_contract_says_alone(house: House) -> None:
    made = await house.make()
    path = f"/v1/shelf/{made['id']}"
    for where in (path, f"/v1/operations/{made['operation']}", path + "/operations", path + "/logs"):
        assert "token-1" not in (await house.owner.get(where)).text
    assert "token-1" not in (await house.owner.get("/v1/shelf", params=WHERE)).text
    read = await house.owner.get(path + "/credentials")
    assert (read.json()["credentials"], read.headers["cache-control"]) == ({"token": "token-1"}, "no-store")
    rotated = await house.owner.post(path + "/credentials/rotate")
    assert (rotated.status_code, rotated.json()["credentials"]) == (200, {"token": "token-2"})
    assert (await house.get(path + "/credentials"))["credentials"] == {"token": "token-2"}
    actions = [entry["action"] for entry in (await house.owner.get("/v1/audit", params=WHERE)).json()["entries"]]
    assert actions == ["provision", "credentials.read", "rotate", "credentials.read"]


async def test_a_key_without_the_permission_gets_no_credentials(house: House) -> None:
    narrow = await house.key("member", permissions=["read", "create"])
    made = await narrow.post("/v1/shelf", json={"name": "one", **PLACE})
    assert (made.status_code, "credentials" in made.json()) == (201, False)
    path = f"/v1/shelf/{made.json()['id']}"
    for method, below in [("GET", "/credentials"), ("POST", "/credentials/rotate"), ("POST", "/tokens"), ("GET", "/logs")]:
        assert (await narrow.request(method, path + below)).status_code == 403, below


async def test_a_token_opens_one_resource_s_own_endpoints_alone(house: House) -> None:
    one, two = await house.make("one"), await house.make("two")
    answer = await house.owner.post(f"/v1/shelf/{one['id']}/tokens")
    assert answer.status_code == 201
    token = answer.json()["token"]
    nobody, bearer = house.client(None), house.client(None)
    bearer.headers["Authorization"] = f"Bearer {token}"
    query = {"token": token}
    assert (await nobody.get(f"/v1/shelf/{one['id']}/contents", params=query)).status_code == 200
    assert (await bearer.get(f"/v1/shelf/{one['id']}/contents")).status_code == 200
    assert (await bearer.get(f"/v1/operations/{one['operation']}/events")).status_code == 200
    assert (await bearer.get(f"/v1/shelf/{two['id']}/contents")).status_code == 404
    assert (await bearer.get(f"/v1/operations/{two['operation']}/events")).status_code == 404
    for path in (f"/v1/shelf/{one['id']}", f"/v1/shelf/{one['id']}/credentials"):
        assert (await bearer.get(path)).status_code == 403
    assert (await bearer.get("/v1/shelf", params=WHERE)).status_code == 403
    assert (await bearer.delete(f"/v1/shelf/{one['id']}/books")).status_code == 403
    house.hands.move(minutes=16)
    assert (await nobody.get(f"/v1/shelf/{one['id']}/contents", params=query)).status_code == 401


async def test_a_token_ends_with_the_key_that_made_it(house: House) -> None:
    made = await house.make()
    maker = await house.key("manager")
    token = (await maker.post(f"/v1/shelf/{made['id']}/tokens")).json()["token"]
    bearer = house.client(None)
    bearer.headers["Authorization"] = f"Bearer {token}"
    assert (await bearer.get(f"/v1/shelf/{made['id']}/contents")).status_code == 200
    keys = (await house.get("/v1/keys"))["keys"]
    revoked = next(key["id"] for key in keys if key["role"] == "manager")
    assert (await house.owner.delete(f"/v1/keys/{revoked}")).status_code == 200
    assert (await bearer.get(f"/v1/shelf/{made['id']}/contents")).status_code == 401


# ── Custom endpoints ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_custom_endpoint_answers_directly(house: House) -> None:
    path = f"/v1/shelf/{(await house.make())['id']}"
    put = await house.owner.post(path + "/books", json={"title": "Emma"})
    assert (put.status_code, put.json()) == (200, {"success": True, "title": "Emma"})
    assert (await house.get(path + "/contents"))["books"] == 1
    wrong = await house.owner.post(path + "/books", json={"title": "", "pages": "x"})
    assert {fault["pointer"] for fault in wrong.json()["errors"]} == {"/title", "/pages"}
    assert (await house.owner.post(path + "/books", json={"title": "x" * 300})).status_code == 413
    assert (await house.owner.get(path + "/books")).status_code == 405
    assert (await house.owner.options(path + "/books")).headers["allow"] == "DELETE, POST, OPTIONS"


async def test_a_custom_endpoint_with_an_operation_is_durable(house: House) -> None:
    path = f"/v1/shelf/{(await house.make())['id']}"
    done = await house.owner.post(path + "/books/7/repair", json={"title": "Emma", "pages": 3})
    assert done.status_code == 200
    assert (done.json()["repaired"], done.json()["pages"]) == ("7", 3)
    operation = await house.get(f"/v1/operations/{done.json()['operation']}")
    assert (operation["type"], operation["state"], operation["progress"]["percent"]) == ("repair", "succeeded", 100)
    gate = house.workshop.close("repair")
    begun = await house.owner.post(path + "/books/8/repair", json={"title": "Emma"}, headers=ASYNC)
    assert begun.status_code == 202
    assert begun.headers["location"] == f"/v1/operations/{begun.json()['operation']}"
    gate.set()
    assert (await house.ended(begun.json()["operation"])).state.value == "succeeded"


async def test_a_custom_endpoint_asks_for_its_own_permission(house: House) -> None:
    path = f"/v1/shelf/{(await house.make())['id']}"
    member = await house.key("member")
    assert (await member.get(path + "/contents")).status_code == 200
    assert (await member.delete(path + "/books")).status_code == 403
    assert (await (await house.key("admin")).delete(path + "/books")).status_code == 200


# ── Foreign and missing ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_foreign_resource_looks_like_a_missing_one(house: House) -> None:
    made = await house.make()
    foreign = await house.key("owner", organisation="Other")
    calls: list[tuple[str, str, Any]] = [
        ("GET", "", None),
        ("PUT", "", {"boards": 4}),
        ("DELETE", "", None),
        ("DELETE", "?purge=true", None),
        ("GET", "/metrics", None),
        ("GET", "/logs", None),
        ("GET", "/operations", None),
        ("GET", "/credentials", None),
        ("POST", "/credentials/rotate", {}),
        ("POST", "/restore", {}),
        ("POST", "/tokens", {}),
        ("GET", "/contents", None),
        ("POST", "/books", {"title": "x"}),
    ]
    for method, below, body in calls:
        seen = await foreign.request(method, f"/v1/shelf/{made['id']}{below}", json=body)
        missing = await foreign.request(method, f"/v1/shelf/nothing{below}", json=body)
        assert (seen.status_code, missing.status_code, seen.content) == (404, 404, missing.content), (method, below)
    for below in ("", "/events"):
        seen = await foreign.get(f"/v1/operations/{made['operation']}{below}")
        assert (seen.status_code, seen.content) == (404, (await foreign.get(f"/v1/operations/no{below}")).content)
    for method in ("cancel", "retry"):
        seen = await foreign.post(f"/v1/operations/{made['operation']}/{method}")
        assert (seen.status_code, seen.content) == (404, (await foreign.post(f"/v1/operations/no/{method}")).content)


async def test_a_foreign_place_is_forbidden_whether_it_exists_or_not(house: House) -> None:
    await house.make()
    foreign = await house.key("owner", organisation="Other")
    for path in ("/v1/shelf", "/v1/operations", "/v1/audit", "/v1/events"):
        real = await foreign.get(path, params=WHERE)
        none = await foreign.get(path, params={"org": "Nobody", "project": "x"})
        assert (real.status_code, none.status_code, real.content) == (403, 403, none.content), path
    assert (await foreign.post("/v1/shelf", json={"name": "x", **PLACE})).status_code == 403
    assert (await foreign.post("/v1/shelf", json={"name": "x", "organisationName": "Nobody"})).status_code == 403


async def test_a_key_of_a_project_sees_that_project_alone(house: House) -> None:
    made = await house.make()
    elsewhere = await house.key("member", project="Another")
    assert (await elsewhere.get(f"/v1/shelf/{made['id']}")).status_code == 404
    assert (await elsewhere.get("/v1/shelf", params=WHERE)).status_code == 403
    assert (await elsewhere.get("/v1/shelf", params={**WHERE, "project": "Another"})).status_code == 200
    here = await house.key("member", project=PROJECT)
    assert (await here.get(f"/v1/shelf/{made['id']}")).status_code == 200


async def test_an_id_of_one_provider_is_none_of_another_s(house: House) -> None:
    made = await house.make()
    assert (await house.owner.get(f"/v1/stool/{made['id']}")).status_code == 404
