"""What the client asks and what it makes of answers, without a server of ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from enopax_core import client, errors
from enopax_core.api.problems import problem as problem_of
from enopax_core.client import AsyncClient, Called, Client, Key, Patience, Resource, operations, providers, resources
from enopax_core.client.failure import failure, retry_after
from enopax_core.errors import EnopaxError, Fault, Malformed, NotReady, Refused, TooManyRequests, Unavailable

URL = "http://enopax.test"
pytestmark = pytest.mark.anyio


class Scripted:
    """An application that gives these answers, one after the other, and keeps what it was asked."""

    def __init__(self, *answers: Response) -> None:
        self.answers, self.asked = list(answers), list[Request]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(Request(scope, receive))
        await self.answers.pop(0)(scope, receive, send)

    def headers(self, name: str) -> list[str | None]:
        """One header of each request."""
        return [request.headers.get(name) for request in self.asked]


def busy(status: int = 503) -> Response:
    """Try again at once."""
    return Response(status_code=status, headers={"Retry-After": "0"})


def stream(*states: str, first: int = 1) -> Response:
    """Events of one operation."""
    operation = {"id": "op", "type": "provision", "endpoint": "box"}
    events = [
        f"id: {first + number}\ndata: {json.dumps({'type': 't', 'data': {**operation, 'state': state}})}\n\n"
        for number, state in enumerate(states)
    ]
    return Response(": connected\n\n" + "".join(events), media_type="text/event-stream")


MADE = {"id": "box-1", "name": "one", "status": "active"}


async def test_a_change_that_is_sent_again_carries_the_same_idempotency_key() -> None:
    app = Scripted(busy(), busy(429), busy(409), JSONResponse(MADE, 201))
    async with AsyncClient(URL, app=app) as asking:
        assert (await asking.send(resources.provision("box", {}))).id == "box-1"
    assert len(set(app.headers("idempotency-key"))) == 1
    assert app.headers("idempotency-key")[0]


async def test_two_changes_carry_different_idempotency_keys_and_a_look_none() -> None:
    app = Scripted(JSONResponse(MADE), JSONResponse(MADE), JSONResponse(MADE))
    async with AsyncClient(URL, app=app) as asking:
        for ask in (resources.provision("box", {}), resources.provision("box", {}), resources.show("box", "box-1")):
            await asking.send(ask)
    first, second, look = app.headers("idempotency-key")
    assert first != second
    assert look is None


@pytest.mark.parametrize("status", [400, 401, 404, 409, 412, 422, 500])
async def test_what_another_try_would_not_change_is_asked_once(status: int) -> None:
    app = Scripted(Response(status_code=status))
    async with AsyncClient(URL, app=app) as asking:
        with pytest.raises(EnopaxError):
            await asking.send(resources.provision("box", {}))
    assert len(app.asked) == 1


async def test_a_server_that_asks_for_more_patience_than_there_is_is_not_asked_again() -> None:
    app = Scripted(Response(status_code=429, headers={"Retry-After": "31"}))
    async with AsyncClient(URL, app=app) as asking:
        with pytest.raises(TooManyRequests) as refused:
            await asking.send(resources.show("box", "box-1"))
    assert refused.value.retry_after == 31


async def test_patience_ends() -> None:
    app = Scripted(busy(), busy(), busy())
    async with AsyncClient(URL, app=app, patience=Patience(tries=3)) as asking:
        with pytest.raises(Unavailable):
            await asking.send(resources.show("box", "box-1"))


async def test_a_stream_goes_on_behind_the_last_event_until_the_operation_has_ended() -> None:
    app = Scripted(busy(), stream("queued", "running"), busy(502), stream("succeeded", first=3))
    async with AsyncClient(URL, app=app) as asking:
        seen = [(event.position, event.operation.state) async for event in asking.follow("op")]
    assert seen == [(1, "queued"), (2, "running"), (3, "succeeded")]
    assert app.headers("last-event-id") == [None, None, "2", "2"]


async def test_a_stream_that_broke_before_its_first_event_goes_on_where_it_began() -> None:
    cut = Response(": connected\nid: 41\n\nid: 42\nda", media_type="text/event-stream")
    app = Scripted(cut, stream("queued", "succeeded", first=42))
    async with AsyncClient(URL, app=app) as asking:
        seen = [event.position async for event in asking.follow("op")]
    assert (seen, app.headers("last-event-id")) == ([42, 43], [None, "41"])


async def test_a_failure_that_was_retried_does_not_end_a_stream() -> None:
    app = Scripted(stream("failed", "queued", "succeeded"))
    async with AsyncClient(URL, app=app) as asking:
        assert [event.operation.state async for event in asking.follow("op")][-1] == "succeeded"


def log(*lines: str, first: int = 1, problem: EnopaxError | None = None) -> Response:
    """Lines of a log, and why it ends."""
    shown = [{"time": f"2030-01-01T00:00:0{first + n}Z", "level": "info", "message": text} for n, text in enumerate(lines)]
    events = [f"id: line-{first + n}\ndata: {json.dumps(line)}\n\n" for n, line in enumerate(shown)]
    if problem is not None:
        events.append(f"event: problem\ndata: {bytes(problem_of(problem).body).decode()}\n\n")
    return Response(": connected\n\n: alive\n\n" + "".join(events), media_type="text/event-stream")


async def test_a_log_is_followed_behind_the_last_line_until_nothing_more_will_come() -> None:
    app = Scripted(log("one", "two\u2028and a half"), busy(), log(), log("three", first=3), Response(status_code=204))
    async with AsyncClient(URL, app=app) as asking:
        assert [line.message async for line in asking.logs("box", "../box")] == ["one", "two\u2028and a half", "three"]
    assert app.headers("last-event-id") == [None, "line-2", "line-2", "line-2", "line-3"]
    assert set(app.headers("accept")) == {"text/event-stream"}
    assert {request.scope["raw_path"] for request in app.asked} == {b"/v1/box/..%2Fbox/logs"}


async def test_what_ends_a_log_is_raised() -> None:
    app = Scripted(log("one", problem=NotReady("Not now.")))
    async with AsyncClient(URL, app=app) as asking:
        lines = asking.logs("box", "box")
        assert (await anext(lines)).message == "one"
        with pytest.raises(NotReady, match="Not now"):
            await anext(lines)


async def test_nothing_follows_behind_the_end() -> None:
    app = Scripted(Response(status_code=204))
    async with AsyncClient(URL, app=app) as asking:
        assert [event async for event in asking.events("/v1/operations/op/events", after=7)] == []
    assert app.headers("last-event-id") == ["7"]


@pytest.mark.parametrize("body", ["<html>", "[]", "{}", '{"providers": [{}]}'])
async def test_what_is_no_server_of_ours_is_said_to_be_none(body: str) -> None:
    async with AsyncClient(URL, app=Scripted(Response(body))) as asking:
        with pytest.raises(EnopaxError, match="did not answer as an Enopax server does"):
            await asking.send(providers.everything())


@pytest.mark.parametrize("id", ["../keys", "..", ".", "a/b", "a?purge=true", "a#b", "ä b", "%2e%2e"])
async def test_no_name_reaches_another_address(id: str) -> None:
    app = Scripted(JSONResponse(MADE))
    async with AsyncClient(URL, app=app) as asking:
        await asking.send(resources.show("box", id))
    (asked,) = app.asked
    assert asked.scope["raw_path"].count(b"/") == 3
    assert asked.url.query == ""


async def test_a_custom_endpoint_is_reached_with_its_method_and_body() -> None:
    app = Scripted(JSONResponse({"success": True, "freed": 3}), JSONResponse({"operation": "op"}, 202))
    ask = resources.custom("box", "box-1", "POST", ["shelves", "a/b"], {"deep": True})
    async with AsyncClient(URL, app=app) as asking:
        assert await asking.send(ask) == Called(body={"freed": 3})
        assert await asking.send(ask) == Called(operation="op")
    assert (app.asked[0].method, app.asked[0].scope["raw_path"]) == ("POST", b"/v1/box/box-1/shelves/a%2Fb")


@pytest.mark.parametrize("url", ["", "enopax.test", "ftp://enopax.test", "http://", "file:///etc/passwd"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Malformed):
        Client(url)


@pytest.mark.parametrize("key", ["", "two\nlines", "schlüssel"])
def test_a_key_that_cannot_be_one_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(Malformed) as refused:
        Client(URL, key)
    assert not key or key not in str(refused.value)


def concrete() -> list[type[EnopaxError]]:
    """Every error of ours that an answer may stand for."""
    found = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, EnopaxError)]
    return [kind for kind in found if kind not in (TooManyRequests, Refused, errors.Unreachable)]


@pytest.mark.parametrize("kind", concrete())
def test_an_error_arrives_as_the_class_that_was_raised(kind: type[EnopaxError]) -> None:
    raised = kind("Why.")
    answer = problem_of(raised)
    arrived = failure(answer.status_code, json.loads(bytes(answer.body)), answer.headers)
    assert type(arrived) is kind
    assert arrived.message == "Why." or answer.status_code == 500


def test_faults_arrive_with_their_pointers() -> None:
    answer = problem_of(errors.Invalid(faults=[Fault("/size", "Too large.")]))
    assert failure(422, json.loads(bytes(answer.body)), {}).faults == (Fault("/size", "Too large."),)


@pytest.mark.parametrize("type_", [None, "https://shop.example/out-of-stock"])
def test_a_refusal_of_a_plugin_arrives_with_its_status_and_type(type_: str | None) -> None:
    answer = problem_of(Refused("Sold out.", status=418, type=type_))
    arrived = failure(answer.status_code, json.loads(bytes(answer.body)), {})
    assert isinstance(arrived, Refused)
    assert (arrived.message, arrived.status, arrived.type) == ("Sold out.", 418, type_ or "urn:enopax:problem:refused")


@pytest.mark.parametrize(
    ("status", "kind"), [(404, errors.NotFound), (502, Unavailable), (413, EnopaxError), (429, TooManyRequests)]
)
def test_an_answer_without_a_type_of_ours_goes_by_its_status(status: int, kind: type[EnopaxError]) -> None:
    assert type(failure(status, None, {})) is kind
    assert type(failure(status, {"type": "about:blank"}, {})) is kind


def test_how_long_to_wait_is_read_as_seconds_or_as_a_date() -> None:
    assert retry_after({"retry-after": "7"}) == 7
    later = retry_after({"retry-after": format_datetime(datetime.now(UTC) + timedelta(seconds=3600), usegmt=True)})
    assert later is not None
    assert 3000 < later <= 3600
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None


@pytest.mark.parametrize(
    "value",
    [
        Resource.model_validate({**MADE, "credentials": {"token": "hidden"}}),
        Key(id="key", name="bot", role="member", key="hidden"),
        resources.provision("box", {"password": "hidden"}),
    ],
    ids=["resource", "key", "ask"],
)
def test_a_representation_shows_no_secret(value: object) -> None:
    assert "hidden" not in repr(value)


def test_answers_are_frozen_and_keep_what_a_newer_server_adds() -> None:
    seen = Resource.model_validate({**MADE, "colour": "red"})
    assert seen.model_extra == {"colour": "red"}
    with pytest.raises(ValueError, match="frozen"):
        seen.name = "two"  # type: ignore[misc]  # that it is refused is the point


def test_everything_in_all_exists_and_is_explained() -> None:
    for name in client.__all__:
        assert getattr(client, name).__doc__, name


@pytest.mark.parametrize(
    ("make", "headers"),
    [
        (lambda: resources.update("box", "b", {}, wait=0, etag='"3"'), {"Prefer": "respond-async", "If-Match": '"3"'}),
        (lambda: resources.delete("box", "b", wait=5), {"Prefer": "wait=5"}),
        (lambda: operations.show("op"), {}),
    ],
)
def test_preferences_and_conditions_are_headers(make: Callable[[], Any], headers: Mapping[str, str]) -> None:
    assert make().headers == headers
