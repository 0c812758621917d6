"""API keys: nobody makes one wider than their own, nor gets hold of one."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.conftest import ORGANISATION, PLACE, PROJECT, WHERE, House, opened
from tests.integration.streams import stream

from enopax_core import Core, Presented, Settings
from enopax_core.builtin.roles import ROLES
from enopax_core.clock import rfc3339

pytestmark = pytest.mark.anyio


async def made(client: httpx.AsyncClient, **wanted: Any) -> dict[str, Any]:
    """A new key."""
    answer = await client.post("/v1/keys", json={"name": "k", "role": "member", "organisation": ORGANISATION, **wanted})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_the_owner_s_key_is_written_once_for_the_operator_alone(data_dir: Path) -> None:
    file = data_dir / "owner.key"
    async with Core(Settings(data_dir=data_dir), plugins=()):
        first = file.read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.unlink()
    async with Core(Settings(data_dir=data_dir), plugins=()) as core:
        assert not file.exists()  # it can be lost: no second owner comes into being
        assert (await core.authenticate(Presented(address="", token=first.strip()))).role == "owner"


async def test_the_owner_s_file_follows_when_its_key_is_rotated(house: House) -> None:
    file = house.core.owner_key_file
    id = (await house.get("/v1/keys"))["keys"][0]["id"]
    for _ in range(2):
        rotated = (await house.client(file.read_text().strip()).post(f"/v1/keys/{id}/rotate")).json()
        assert file.read_text() == rotated["key"] + "\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in file.parent.glob("owner.key*")) == ["owner.key"]


async def test_the_owner_s_file_follows_no_other_key(house: House) -> None:
    before = house.core.owner_key_file.read_text()
    other = await made(house.owner, role="owner", organisation=None)
    assert (await house.owner.post(f"/v1/keys/{other['id']}/rotate")).status_code == 200
    assert house.core.owner_key_file.read_text() == before


async def test_a_file_that_the_owner_has_put_away_does_not_come_back(house: House) -> None:
    id = (await house.get("/v1/keys"))["keys"][0]["id"]
    house.core.owner_key_file.unlink()
    assert (await house.owner.post(f"/v1/keys/{id}/rotate")).status_code == 200
    assert list(house.core.settings.data_dir.glob("owner.key*")) == []


async def test_a_rotation_that_was_killed_leaves_the_owner_a_file_that_is_valid(data_dir: Path) -> None:
    """The process ends after the new secret was written beside the file: before the commit, or behind it."""
    file, beside = data_dir / "owner.key", data_dir / "owner.key.next"
    async with opened(data_dir) as house:
        old = file.read_text()
        id = (await house.get("/v1/keys"))["keys"][0]["id"]
        new = (await house.owner.post(f"/v1/keys/{id}/rotate")).json()["key"] + "\n"
    for prepared, kept in [(old, new), (new, new)]:  # the file's own secret, the one beside it: in turn the valid one
        file.write_text(new if prepared == old else old)
        beside.write_text(prepared)
        async with Core(Settings(data_dir=data_dir), plugins=()) as core:
            assert file.read_text() == kept
            assert not beside.exists()
            assert (await core.authenticate(Presented(address="", token=file.read_text().strip()))).role == "owner"


async def test_a_secret_is_shown_once(house: House) -> None:
    key = await made(house.owner)
    listed = await house.owner.get("/v1/keys")
    assert key["key"] not in listed.text
    assert [one["preview"] for one in listed.json()["keys"] if one["id"] == key["id"]] == [key["key"][:12]]
    assert key["key"].encode() not in b"".join(file.read_bytes() for file in house.core.settings.data_dir.glob("ledger.sqlite3*"))


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"role": "king"}, "/role"),
        ({"role": "member", "permissions": ["purge"]}, "/permissions"),
        ({"permissions": ["nonsense"]}, "/permissions"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "/expiresAt"),
        ({"expiresAt": "2999-01-01T00:00:00"}, "/expiresAt"),
        ({"organisation": None, "project": "p"}, "/organisation"),
        ({"name": ""}, "/name"),
        ({"name": "a\x00"}, "/name"),
        ({"nonsense": 1}, "/nonsense"),
        ({"role": 5}, "/role"),
    ],
)
async def test_a_wrong_wish_names_its_field(house: House, wrong: dict[str, Any], pointer: str) -> None:
    body = {"name": "k", "role": "member", "organisation": ORGANISATION, **wrong}
    answer = await house.owner.post("/v1/keys", json=body)
    assert (answer.status_code, [fault["pointer"] for fault in answer.json()["errors"]]) == (422, [pointer])


@pytest.mark.parametrize("role", ["manager", "admin"])
async def test_a_role_makes_keys_up_to_its_own(house: House, role: str) -> None:
    maker = await house.key(role)
    for wanted in ROLES:
        answer = await maker.post("/v1/keys", json={"name": "k", "role": wanted, "organisation": ORGANISATION})
        assert answer.status_code == (201 if ROLES.index(wanted) <= ROLES.index(role) else 403), wanted


async def test_a_key_reaches_no_further_than_its_maker_s(house: House) -> None:
    of_project = await house.key("owner", project=PROJECT)
    assert (await made(of_project, project=PROJECT))["project"] == PROJECT
    for wider in (
        {"organisation": ORGANISATION},
        {"organisation": ORGANISATION, "project": "Another"},
        {"organisation": "Other"},
        {},
    ):
        answer = await of_project.post("/v1/keys", json={"name": "k", "role": "member", **wider})
        assert answer.status_code == 403, wider


async def test_a_key_may_do_no_more_than_its_maker_s(house: House) -> None:
    narrow = await house.key("owner", permissions=["keys", "read"])
    assert (await narrow.post("/v1/keys", json={"name": "k", "role": "member", "organisation": ORGANISATION})).status_code == 403
    assert (await made(narrow, permissions=["read"]))["permissions"] == ["read"]


async def test_a_key_does_not_outlive_its_maker_s(house: House) -> None:
    soon = house.hands() + timedelta(hours=1)
    short = await house.key("manager", expiresAt=rfc3339(soon))
    body = {"name": "k", "role": "member", "organisation": ORGANISATION}
    assert (await short.post("/v1/keys", json=body)).status_code == 403
    later = {**body, "expiresAt": rfc3339(soon + timedelta(seconds=1))}
    assert (await short.post("/v1/keys", json=later)).status_code == 403
    assert (await short.post("/v1/keys", json={**body, "expiresAt": rfc3339(soon)})).status_code == 201


async def test_nobody_gets_hold_of_a_wider_key_by_rotating_it(house: House) -> None:
    wide = await made(house.owner, role="owner")
    narrow = await house.key("owner", permissions=["keys", "read"])
    short = await house.key("owner", expiresAt=rfc3339(house.hands() + timedelta(hours=1)))
    lower = await house.key("manager")
    for thief in (narrow, short, lower):
        assert (await thief.post(f"/v1/keys/{wide['id']}/rotate")).status_code == 403
    assert (await house.client(wide["key"]).get("/v1/shelf", params=WHERE)).status_code == 200


async def test_a_key_rotates_itself(house: House) -> None:
    key = await made(house.owner, role="manager", permissions=["keys", "read"])
    rotated = await house.client(key["key"]).post(f"/v1/keys/{key['id']}/rotate")
    assert (rotated.status_code, rotated.headers["cache-control"]) == (200, "no-store")
    assert (await house.client(key["key"]).get("/v1/keys")).status_code == 401
    assert (await house.client(rotated.json()["key"]).get("/v1/keys")).status_code == 200


async def test_a_foreign_key_is_not_there_and_a_higher_one_is_left_alone(house: House) -> None:
    foreign = await made(house.owner, organisation="Other")
    higher = await made(house.owner, role="owner")
    manager = await house.key("manager")
    for method, below in [("DELETE", ""), ("POST", "/rotate")]:
        seen = await manager.request(method, f"/v1/keys/{foreign['id']}{below}")
        missing = await manager.request(method, f"/v1/keys/key-none{below}")
        assert (seen.status_code, seen.content) == (404, missing.content)
        assert (await manager.request(method, f"/v1/keys/{higher['id']}{below}")).status_code == 403


async def test_a_list_shows_the_keys_within_one_s_own_scope(house: House) -> None:
    for wanted in ({"organisation": "Other"}, {"project": PROJECT}, {}):
        await made(house.owner, **wanted)
    of_organisation, of_project = await house.key("owner"), await house.key("owner", project=PROJECT)
    assert len((await house.owner.get("/v1/keys")).json()["keys"]) == 6
    assert {key["organisation"] for key in (await of_organisation.get("/v1/keys")).json()["keys"]} == {ORGANISATION}
    assert {key["project"] for key in (await of_project.get("/v1/keys")).json()["keys"]} == {PROJECT}


async def test_pages_of_keys_show_everything_once(house: House) -> None:
    ids = [(await house.get("/v1/keys"))["keys"][0]["id"], *[(await made(house.owner))["id"] for _ in range(4)]]
    seen: list[str] = []
    token: str | None = None
    while True:
        params = {"page_size": "2", **({"page_token": token} if token else {})}
        page = (await house.owner.get("/v1/keys", params=params)).json()
        seen += [key["id"] for key in page["keys"]]
        token = page.get("nextPageToken")
        if token is None:
            break
    assert seen == ids


async def test_an_expired_key_is_void_and_its_stream_ends(house: House) -> None:
    await house.make()
    for left in (0.2, 5, 50):  # seconds until it ends; longer ones for a machine that does not open it in time
        key = await made(house.owner, expiresAt=rfc3339(house.hands() + timedelta(hours=1)))
        client = house.client(key["key"])
        assert (await client.get("/v1/shelf", params=WHERE)).status_code == 200
        house.hands.move(hours=1, seconds=-left)
        async with stream(house.app, "/v1/events", WHERE, {"X-API-Key": key["key"]}) as open_stream:
            if open_stream.status == 200:
                assert await open_stream.rest() == []  # it ends by itself
        house.hands.move(seconds=left)
        assert (await client.get("/v1/shelf", params=WHERE)).status_code == 401
        if open_stream.status == 200:
            return
    pytest.fail("no stream was opened before its key had expired")


async def test_a_project_comes_into_being_with_its_first_key(house: House) -> None:
    key = await made(house.owner, organisation="Brand New", project="First")
    client = house.client(key["key"])
    body = {"name": "one", "organisationName": "Brand New", "projectName": "First"}
    assert (await client.post("/v1/shelf", json=body)).status_code == 201
    assert (await client.post("/v1/shelf", json={**body, **PLACE})).status_code == 403


async def test_a_resource_token_makes_no_keys_and_no_tokens(house: House) -> None:
    resource = await house.make()
    token = (await house.owner.post(f"/v1/shelf/{resource['id']}/tokens")).json()["token"]
    for path in ("/v1/keys", f"/v1/shelf/{resource['id']}/tokens"):
        answer = await house.client(token).post(path, json={"name": "k", "role": "member"})
        assert answer.status_code == 403
