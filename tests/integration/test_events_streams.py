"""Server-Sent Events: everything once, in order, from where the reader left off."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from tests.integration.conftest import ASYNC, PLACE, WHERE, House
from tests.integration.streams import stream

from enopax_core.core import streams
from enopax_core.errors import PermanentError

pytestmark = pytest.mark.anyio


def parsed(text: str) -> list[dict[str, Any]]:
    """Events of a whole stream, with their position."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and line[0] != ":")
        if "data" in fields:
            found.append({**json.loads(fields["data"]), "position": int(fields["id"])})
    return found


def owner(house: House) -> dict[str, str]:
    """The owner's header."""
    return {"X-API-Key": house.owner.headers["X-API-Key"]}


async def test_an_operation_s_stream_tells_all_and_closes_after_its_end(house: House) -> None:
    made = await house.make()
    path = f"/v1/operations/{made['operation']}"
    answer = await house.owner.get(path + "/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = parsed(answer.text)
    kinds = [event["type"].removeprefix("eu.enopax.operation.") for event in events]
    assert kinds == ["queued", "running", "progress", "succeeded"]
    assert [event["sequence"] for event in events] == [1, 2, 3, 4]
    positions = [event["position"] for event in events]
    assert positions == sorted(set(positions))
    for event in events:
        assert (event["specversion"], event["source"], event["subject"]) == ("1.0", path, made["id"])
        assert event["datacontenttype"] == "application/json"
    assert len({event["id"] for event in events}) == 4
    shown = await house.get(path)
    assert events[-1]["data"] == {name: value for name, value in shown.items() if name != "success"}


async def test_a_reader_goes_on_where_it_left_off(house: House) -> None:
    made = await house.make()
    path = f"/v1/operations/{made['operation']}/events"
    events = parsed((await house.owner.get(path)).text)
    for last in (0, events[0]["position"], events[-2]["position"]):
        rest = parsed((await house.owner.get(path, headers={"Last-Event-ID": str(last)})).text)
        assert rest == [event for event in events if event["position"] > last]
        assert parsed((await house.owner.get(path, params={"last_event_id": str(last)})).text) == rest
    for past in (events[-1]["position"], events[-1]["position"] + 1000):
        done = await house.owner.get(path, headers={"Last-Event-ID": str(past)})
        assert (done.status_code, done.content) == (204, b"")
    assert (await house.owner.get(path, headers={"Last-Event-ID": "x"})).status_code == 400


async def test_events_arrive_while_the_operation_runs(house: House) -> None:
    gate = house.workshop.close("provision")
    begun = await house.begin()
    async with stream(house.app, f"/v1/operations/{begun['operation']}/events", {}, owner(house)) as open_stream:
        assert open_stream.status == 200
        assert (await open_stream.line()).startswith(": connected\n")
        kinds = [(await open_stream.event())["type"].rpartition(".")[2] for _ in range(3)]
        assert kinds == ["queued", "running", "progress"]
        gate.set()
        rest = await open_stream.rest()
        assert [event["type"].rpartition(".")[2] for event in rest] == ["succeeded"]


async def test_a_silent_stream_shows_that_it_lives(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT", 0.01)
    await house.make()
    async with stream(house.app, "/v1/events", WHERE, owner(house)) as open_stream:
        await open_stream.line()
        assert [await open_stream.line() for _ in range(2)] == [": alive\n\n", ": alive\n\n"]


async def test_a_project_s_stream_starts_now_or_at_the_oldest(house: House) -> None:
    first = await house.make()
    async with stream(house.app, "/v1/events", WHERE, owner(house)) as from_now:
        assert (await from_now.line()).startswith(": connected\n")
        gone = await house.owner.delete(f"/v1/shelf/{first['id']}", headers=ASYNC)
        assert (await from_now.event())["data"]["id"] == gone.json()["operation"]
    oldest = {**owner(house), "Last-Event-ID": "0"}
    async with stream(house.app, "/v1/events", WHERE, oldest) as from_oldest:
        alone = parsed((await house.owner.get(f"/v1/operations/{first['operation']}/events")).text)
        seen = [await from_oldest.event() for _ in alone]
        assert seen == alone  # the same ids for the same events in every stream


async def test_a_stream_that_breaks_before_its_first_event_goes_on_where_it_began(house: House) -> None:
    gone = await house.make()
    async with stream(house.app, "/v1/events", WHERE, owner(house)) as broken:
        began = (await broken.line()).removeprefix(": connected\nid: ").strip()
    missed = await house.make("two")
    async with stream(house.app, "/v1/events", WHERE, {**owner(house), "Last-Event-ID": began}) as again:
        assert await again.line() == f": connected\nid: {began}\n\n"
        first = await again.event()
    assert (first["subject"], first["sequence"], first["position"] > int(began)) == (missed["id"], 1, True)
    assert gone["id"] != missed["id"]


async def test_a_project_s_stream_shows_that_project_alone(house: House) -> None:
    await house.make()
    async with stream(house.app, "/v1/events", {**WHERE, "project": "Another"}, {**owner(house), "Last-Event-ID": "0"}) as other:
        assert await other.line() == ": connected\nid: 0\n\n"
        await house.make("two")
        there = await house.make("three", projectName="Another")
        assert (await other.event())["subject"] == there["id"]


async def test_revoking_a_key_ends_its_streams(house: House) -> None:
    await house.make()
    made = (await house.owner.post("/v1/keys", json={"name": "k", "role": "member", "organisation": "Acme Inc"})).json()
    async with stream(house.app, "/v1/events", WHERE, {"X-API-Key": made["key"]}) as open_stream:
        assert (await open_stream.line()).startswith(": connected\n")
        await house.owner.delete(f"/v1/keys/{made['id']}")
        assert await open_stream.rest() == []
        with anyio.fail_after(60):
            await open_stream.ended.wait()


async def test_closing_the_core_ends_streams(house: House) -> None:
    await house.make()
    async with stream(house.app, "/v1/events", WHERE, owner(house)) as open_stream:
        assert (await open_stream.line()).startswith(": connected\n")
        house.core.drain()
        assert await open_stream.rest() == []


async def test_a_resource_token_opens_its_operations_streams_from_a_browser(house: House) -> None:
    made = await house.make()
    token = (await house.owner.post(f"/v1/shelf/{made['id']}/tokens")).json()["token"]
    nobody = house.client(None)
    answer = await nobody.get(f"/v1/operations/{made['operation']}/events", params={"token": token})
    assert answer.status_code == 200
    assert (await nobody.get("/v1/events", params={**WHERE, "token": token})).status_code == 403


async def test_after_a_retry_the_stream_goes_on_behind_the_failure(house: House) -> None:
    house.workshop.failures["provision"] = [PermanentError("No wood.")]
    failed = (await house.owner.post("/v1/shelf", json={"name": "one", **PLACE})).json()
    path = f"/v1/operations/{failed['operation']}"
    await house.owner.post(path + "/retry")
    await house.ended(failed["operation"])
    kinds = [event["type"].rpartition(".")[2] for event in parsed((await house.owner.get(path + "/events")).text)]
    assert kinds == ["queued", "running", "progress", "failed", "queued", "running", "progress", "succeeded"]


async def test_a_failure_in_between_is_queued_again(house: House) -> None:
    house.workshop.failures["provision"] = [RuntimeError("of any kind")]
    made = await house.make()
    events = parsed((await house.owner.get(f"/v1/operations/{made['operation']}/events")).text)
    kinds = [event["type"].rpartition(".")[2] for event in events]
    assert kinds == ["queued", "running", "progress", "queued", "running", "progress", "succeeded"]
    assert events[-1]["data"]["attempt"] == 2
