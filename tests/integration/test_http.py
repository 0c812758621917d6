"""HTTP itself: methods, preferences, preconditions, limits, what browsers ask for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send
from tests.integration.conftest import ASYNC, ORGANISATION, PLACE, WHERE, House, opened

from enopax_core import Host, Principal, Route, hookimpl
from enopax_core.api import call
from enopax_core.api.call import preferences
from enopax_core.errors import PluginRefused

pytestmark = pytest.mark.anyio
FAR = "192.0.2.7"  # not on this machine


# ── Methods ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("below", ["", "/metrics", "/logs", "/operations", "/credentials", "/contents"])
async def test_head_is_a_get_without_its_body(house: House, below: str) -> None:
    path = f"/v1/shelf/{(await house.make())['id']}{below}"
    head, get = await house.owner.head(path), await house.owner.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(get.content))
    assert head.headers["content-type"] == get.headers["content-type"]
    assert head.headers.get("etag") == get.headers.get("etag")


@pytest.mark.parametrize("path", ["/providers/info", "/healthz", "/readyz", "/openapi.json", "/docs", "/metrics"])
async def test_public_pages_answer_head_too(house: House, path: str) -> None:
    head = await house.client(None).head(path)
    assert (head.status_code, head.content) == (200, b"")


async def test_head_of_what_is_missing_is_missing(house: House) -> None:
    answer = await house.owner.head("/v1/shelf/nothing")
    assert (answer.status_code, answer.content) == (404, b"")


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/v1/shelf", "GET, POST, HEAD, OPTIONS"),
        ("/v1/shelf/x", "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"),
        ("/v1/shelf/x/tokens", "POST, OPTIONS"),
        ("/v1/shelf/x/contents", "GET, HEAD, OPTIONS"),
        ("/v1/shelf/x/books", "DELETE, POST, OPTIONS"),
        ("/v1/operations/x/cancel", "POST, OPTIONS"),
        ("/providers/info", "GET, HEAD, OPTIONS"),
    ],
)
async def test_options_and_405_name_what_is_allowed(house: House, path: str, allow: str) -> None:
    options = await house.client(None).options(path)
    assert (options.status_code, options.headers["allow"], options.content) == (204, allow, b"")
    wrong = await house.owner.request("TRACE", path)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, allow)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "TRACE"])
async def test_a_path_below_a_resource_that_nobody_declares_is_not_there(house: House, method: str) -> None:
    made = await house.make()
    assert (await house.owner.request(method, f"/v1/shelf/{made['id']}/nothing")).status_code == 404
    assert (await house.client(None).request(method, f"/v1/shelf/{made['id']}/nothing")).status_code == 401


# ── Parameters ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "below"),
    [
        ("GET", ""),
        ("GET", "/{id}"),
        ("DELETE", "/{id}"),
        ("POST", "/{id}/restore"),
        ("POST", "/{id}/tokens"),
        ("POST", "/{id}/books"),
        ("GET", "/{id}/contents"),
        ("GET", "/{id}/metrics"),
    ],
)
async def test_a_preview_of_what_has_none_is_refused_and_changes_nothing(house: House, method: str, below: str) -> None:
    made = await house.make()
    before = (await house.owner.get(f"/v1/shelf/{made['id']}")).content
    calls = len(house.workshop.calls)
    path = "/v1/shelf" + below.replace("{id}", made["id"])
    answer = await house.owner.request(method, path, params={**WHERE, "dry_run": "true"})
    assert answer.status_code == 400
    assert (await house.owner.get(f"/v1/shelf/{made['id']}")).content == before
    assert len(house.workshop.calls) == calls


@pytest.mark.parametrize(
    "wrong",
    [
        {"page_size": "0"},
        {"page_size": "1001"},
        {"page_size": "-1"},
        {"page_size": "1e1"},
        {"page_size": "\u0663"},
        {"page_size": ""},
        {"page_token": "x"},
        {"page_token": ""},
        {"page_token": "cDE="},
        {"page_token": "\u00e4"},
        {"status": "gone"},
        {"dry_run": "maybe"},
    ],
)
async def test_a_reserved_parameter_with_a_bad_value_is_refused(house: House, wrong: dict[str, str]) -> None:
    assert (await house.owner.get("/v1/shelf", params={**WHERE, **wrong})).status_code == 400


async def test_a_parameter_that_nobody_knows_is_ignored(house: House) -> None:
    made = await house.make()
    listed = await house.owner.get("/v1/shelf", params={**WHERE, "colour": "red", "Page_Size": "0"})
    assert [one["id"] for one in listed.json()["resources"]] == [made["id"]]


@pytest.mark.parametrize("left_out", ["org", "project"])
@pytest.mark.parametrize("path", ["/v1/shelf", "/v1/operations", "/v1/events", "/v1/audit"])
async def test_a_list_asks_for_organisation_and_project(house: House, path: str, left_out: str) -> None:
    answer = await house.owner.get(path, params={name: value for name, value in WHERE.items() if name != left_out})
    assert (answer.status_code, [fault["pointer"] for fault in answer.json()["errors"]]) == (400, [left_out])


# ── Preferences ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("wait=10", {"wait": "10"}),
        ("Wait = 10 ; x=y, respond-async", {"wait": "10", "respond-async": ""}),
        ("wait=1, wait=2", {"wait": "1"}),
        ('foo="a, wait=3, b", wait=4', {"foo": "a, wait=3, b", "wait": "4"}),
        ('foo="a; b"; c, respond-async; d', {"foo": "a; b", "respond-async": ""}),
        ("wait=5 5, , =, respond-async", {"respond-async": ""}),
        ('foo="never ends, wait=5', {"foo": "", "wait": "5"}),
        ("", {}),
    ],
)
def test_preferences_are_read_as_the_standard_says(header: str, found: dict[str, str]) -> None:
    assert preferences(header) == found


@pytest.mark.parametrize(
    ("header", "applied"),
    [
        ("wait=99999999999999999999", "wait=60"),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait", None),
        ("respond-async=no", None),
        ('handling="lenient, wait=9"', None),
        ("return=minimal", None),
    ],
)
async def test_a_preference_that_says_nothing_is_ignored(house: House, header: str, applied: str | None) -> None:
    answer = await house.owner.post("/v1/shelf", json={"name": "one", **PLACE}, headers={"Prefer": header})
    assert (answer.status_code, answer.headers.get("preference-applied")) == (201, applied)


# ── Preconditions ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("below", ["/books", "/books/7/repair"])  # a direct call, an operation
async def test_a_custom_endpoint_keeps_to_if_match(house: House, below: str) -> None:
    path = f"/v1/shelf/{(await house.make())['id']}"
    tag = (await house.owner.get(path)).headers["etag"]
    book = {"title": "Emma"}
    for stale in ('"other"', f"W/{tag}", "", "no tag at all"):
        refused = await house.owner.post(path + below, json=book, headers={"If-Match": stale})
        assert refused.status_code == 412, stale
    assert house.workshop.called("put") + house.workshop.called("repair") == 0
    assert (await house.owner.post(path + below, json=book, headers={"If-Match": f'"other", {tag}'})).status_code == 200
    assert (await house.owner.post(path + below, json=book, headers={"If-Match": "*"})).status_code == 200


async def test_deleting_keeps_to_if_match(house: House) -> None:
    path = f"/v1/shelf/{(await house.make())['id']}"
    tag = (await house.owner.get(path)).headers["etag"]
    assert (await house.owner.delete(path, headers={"If-Match": '"stale"'})).status_code == 412
    assert (await house.get(path))["status"] == "active"
    assert (await house.owner.delete(path, headers={"If-Match": tag})).status_code == 200


async def test_of_two_changes_on_the_same_etag_one_wins(house: House) -> None:
    path = f"/v1/shelf/{(await house.make())['id']}"
    headers = {"If-Match": (await house.owner.get(path)).headers["etag"], **ASYNC}
    statuses = [(await house.owner.put(path, json={"boards": n}, headers=headers)).status_code for n in (4, 5)]
    assert statuses == [202, 412]


# ── Bodies and headers ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_body_in_pieces_is_held_to_the_limit_as_well(house: House) -> None:
    async def pieces() -> Any:
        for _ in range(17):
            yield b" " * 65536

    answer = await house.owner.post("/v1/shelf", content=pieces(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")


async def test_a_body_that_does_not_end_in_time_is_cut(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "BODY_SECONDS", 0.01)
    sent: list[Message] = []
    came = False

    async def receive() -> Message:
        nonlocal came
        if came:
            await anyio.sleep_forever()
        came = True
        return {"type": "http.request", "body": b"{", "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    key = house.owner.headers["X-API-Key"].encode()
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/v1/shelf",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"x-api-key", key), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("enopax.test", 80),
        "scheme": "http",
    }
    await house.app(scope, receive, send)
    assert sent[0]["status"] == 408


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json"])
@pytest.mark.parametrize(("method", "below"), [("POST", ""), ("PUT", "/{id}"), ("POST", "/{id}/books"), ("DELETE", "/{id}")])
async def test_a_body_of_another_kind_is_refused(house: House, method: str, below: str, media: str) -> None:
    path = "/v1/shelf" + below.replace("{id}", (await house.make())["id"])
    answer = await house.owner.request(method, path, content=b"{}", headers={"Content-Type": media})
    assert answer.status_code == 415


@pytest.mark.parametrize("media", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/merge-patch+json", None])
async def test_json_is_understood_by_whatever_name(house: House, media: str | None) -> None:
    headers = {} if media is None else {"Content-Type": media}
    path = f"/v1/shelf/{(await house.make())['id']}"
    assert (await house.owner.patch(path, content=b'{"boards": 4}', headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "content", [b'{"boards": 1e999}', b"[" * 100_000, b'{"boards": ' + b"9" * 5000 + b"}", b"\xef\xbb\xbf{}"]
)
async def test_json_that_no_parser_should_be_asked_is_refused(house: House, content: bytes) -> None:
    path = f"/v1/shelf/{(await house.make())['id']}"
    answer = await house.owner.put(path, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


async def test_a_field_s_own_surrogates_and_controls_survive_or_are_refused_but_break_nothing(house: House) -> None:
    content = b'{"colour": "\\ud800\\u0000", "\\udfff": 1}'
    path = f"/v1/shelf/{(await house.make())['id']}"
    refused = await house.owner.put(path, content=content, headers={"Content-Type": "application/json"})
    assert (refused.status_code, [fault["pointer"] for fault in refused.json()["errors"]]) == (422, ["/\udfff"])
    content = b'{"colour": "\\ud800\\u0000"}'
    kept = await house.owner.put(path, content=content, headers={"Content-Type": "application/json"})
    assert (kept.status_code, kept.json()["config"]["colour"]) == (200, "\ud800\x00")


@pytest.mark.parametrize("field", ["organisationName", "projectName", "userId"])
@pytest.mark.parametrize("value", ["", " ", "a\x00", "\u009f", "x" * 201])
async def test_what_names_a_place_or_a_user_is_held_to_the_same_as_a_name(house: House, field: str, value: str) -> None:
    answer = await house.owner.post("/v1/shelf", json={"name": "one", **PLACE, field: value})
    assert (answer.status_code, [fault["pointer"] for fault in answer.json()["errors"]]) == (422, [f"/{field}"])


async def test_a_custom_endpoint_takes_what_its_schema_says_alone(house: House) -> None:
    path = f"/v1/shelf/{(await house.make())['id']}/books"
    answer = await house.owner.post(path, json={"title": "Emma", "pages": "5"})
    assert (answer.status_code, [fault["pointer"] for fault in answer.json()["errors"]]) == (422, ["/pages"])
    assert (await house.owner.post(path, json=["Emma"])).status_code == 422
    assert house.workshop.called("put") == 0


# ── Limits ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_key_has_so_many_requests_a_second_from_elsewhere(data_dir: Path) -> None:
    async with opened(data_dir, rate_limit_burst=3, rate_limit_per_second=0.001) as house:
        far = house.client(house.owner.headers["X-API-Key"], FAR)
        answers = [await far.get("/v1/shelf", params=WHERE) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert int(answers[-1].headers["retry-after"]) >= 1
        made = await house.owner.post("/v1/keys", json={"name": "other", "role": "owner"})
        other = house.client(made.json()["key"], FAR)
        assert (await other.get("/v1/shelf", params=WHERE)).status_code == 200  # each key has its own
        assert (await far.get("/providers/info")).status_code == 200


async def test_this_machine_has_no_limit_unless_asked_for(data_dir: Path) -> None:
    async with opened(data_dir, rate_limit_burst=1, rate_limit_per_second=0.001) as house:
        assert {(await house.owner.get("/v1/shelf", params=WHERE)).status_code for _ in range(5)} == {200}
    async with opened(data_dir, rate_limit_burst=1, rate_limit_per_second=0.001, rate_limit_loopback=True) as house:
        assert [(await house.owner.get("/v1/shelf", params=WHERE)).status_code for _ in range(2)] == [200, 429]


async def test_the_twenty_first_failed_attempt_of_an_address_is_told_to_wait(house: House) -> None:
    wrong = house.client("enx_key_wrong", FAR)
    answers = [await wrong.get("/v1/shelf", params=WHERE) for _ in range(21)]
    assert [answer.status_code for answer in answers] == [*[401] * 20, 429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert (await house.client("enx_key_wrong", "192.0.2.8").get("/v1/shelf", params=WHERE)).status_code == 401
    assert (await house.owner.get("/v1/shelf", params=WHERE)).status_code == 200


async def test_metrics_need_a_key_from_elsewhere(house: House) -> None:
    assert (await house.client(None).get("/metrics")).status_code == 200
    assert (await house.client(None, FAR).get("/metrics")).status_code == 401
    of_organisation = await house.key("owner")
    assert (await house.client(of_organisation.headers["X-API-Key"], FAR).get("/metrics")).status_code == 403
    assert (await house.client(house.owner.headers["X-API-Key"], FAR).get("/metrics")).status_code == 200


# ── Browsers ──────────────────────────────────────────────────────────────────────────────────────────────────────────

PREFLIGHT = {
    "Origin": "https://app.example",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "x-api-key",
}


async def test_other_origins_are_told_nothing_unless_configured(house: House) -> None:
    for answer in (
        await house.owner.options("/v1/shelf", headers=PREFLIGHT),
        await house.owner.get("/healthz", headers=PREFLIGHT),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_configured_origin_may_call_and_no_other(data_dir: Path) -> None:
    async with opened(data_dir, allowed_origins=("https://app.example",)) as house:
        allowed = await house.client(None).options("/v1/shelf", headers=PREFLIGHT)
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "https://app.example")
        other = await house.client(None).get("/healthz", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


# ── Errors ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_error_is_a_problem_that_older_clients_can_read(house: House) -> None:
    answer = await house.owner.post("/v1/shelf", json={"name": "", **PLACE})
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (body["type"], body["title"], body["status"]) == ("urn:enopax:problem:invalid", "Invalid request", 422)
    assert (body["success"], body["error"]) == (False, body["detail"])


async def test_what_nobody_foresaw_is_answered_without_its_reason(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("password=hush in /etc/secret")

    monkeypatch.setattr(type(house.core.resources), "page", broken)
    transport = httpx.ASGITransport(house.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://enopax.test", headers=house.owner.headers) as client:
        answer = await client.get("/v1/shelf", params=WHERE)
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "hush" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("header", ["Basic !!", "Basic " + "/w==", "Nonsense x", "Bearer", ""])
async def test_credentials_that_are_none_never_break_anything(house: House, header: str) -> None:
    answer = await house.client(None).get("/v1/shelf", params=WHERE, headers={"Authorization": header})
    assert answer.status_code in (400, 401)


async def test_an_api_key_is_taken_from_header_bearer_or_basic_but_never_from_the_query(house: House) -> None:
    key, nobody = house.owner.headers["X-API-Key"], house.client(None)
    assert (await nobody.get("/v1/shelf", params=WHERE, headers={"Authorization": f"Bearer {key}"})).status_code == 200
    assert (await nobody.get("/v1/shelf", params=WHERE, auth=("anybody", key))).status_code == 200
    assert (await nobody.get("/v1/shelf", params={**WHERE, "token": key})).status_code == 401


# ── Routes of plugins ─────────────────────────────────────────────────────────────────────────────────────────────────


class Pages:
    """Serves whatever is left over, and a page of its own that takes a principal."""

    @hookimpl
    def enopax_routes(self, host: Host) -> Iterable[Route]:
        async def own(scope: Scope, receive: Receive, send: Send) -> None:
            principal: Principal = scope["state"]["principal"]
            await PlainTextResponse(principal.kind)(scope, receive, send)

        return [
            Route(path="/pages/own", app=own, access="principal", permission="read"),
            Route(path="/{rest:path}", app=PlainTextResponse("left over"), access="public", methods=("GET", "POST")),
        ]


async def test_a_plugin_that_serves_every_path_gets_what_is_left_over(data_dir: Path) -> None:
    async with opened(data_dir, Pages()) as house:
        made = await house.make()
        assert (await house.owner.get(f"/v1/shelf/{made['id']}")).json()["id"] == made["id"]
        assert (await house.client(None).get("/somewhere/else")).text == "left over"


async def test_a_plugin_s_route_answers_head_and_options_and_names_what_it_allows(data_dir: Path) -> None:
    async with opened(data_dir, Pages()) as house:
        options = await house.client(None).options("/pages/own")
        assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
        assert (await house.owner.head("/pages/own")).status_code == 200
        wrong = await house.owner.post("/pages/own")
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_a_plugin_s_route_counts_among_a_key_s_requests(data_dir: Path) -> None:
    async with opened(data_dir, Pages(), rate_limit_burst=1, rate_limit_per_second=0.001, rate_limit_loopback=True) as house:
        assert [(await house.owner.get("/pages/own")).status_code for _ in range(2)] == [200, 429]


async def test_two_plugins_cannot_announce_the_same_route(data_dir: Path) -> None:
    class Others(Pages):
        pass

    with pytest.raises(PluginRefused, match="/pages/own"):
        async with opened(data_dir, Pages(), Others()):
            pass


async def test_an_organisation_s_key_may_not_use_what_asks_for_the_installation(data_dir: Path) -> None:
    async with opened(data_dir, Pages()) as house:
        member = await house.key("owner", ORGANISATION)
        assert (await member.get("/pages/own")).status_code == 403
