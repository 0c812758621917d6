"""Logs as Server-Sent Events: the latest lines, then each as it is written."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from tests.integration.conftest import ORGANISATION, House, opened
from tests.integration.streams import Stream, stream

from enopax_core.core import logs
from enopax_core.core.logs import Mark, lines_behind
from enopax_core.errors import RuntimeUnavailable
from enopax_core.provider import Config, LogLine, Observed, Operation, Outcome, Provider, Resource

pytestmark = pytest.mark.anyio
BEGAN = datetime(2030, 1, 1, tzinfo=UTC)
ACCEPT = {"Accept": "text/event-stream"}


def line(second: int, message: str) -> LogLine:
    """A line of a log."""
    return LogLine(time=BEGAN + timedelta(seconds=second), message=message)


class Empty(Config):
    """Nothing can be chosen."""


class Diary(Provider[Empty]):
    """Has a log that can only be looked at."""

    name, endpoint = "diary", "diary"

    def __init__(self) -> None:
        self.written: list[LogLine] = [line(1, "one"), line(2, "two")]
        self.failure: Exception | None = None

    def provision(self, operation: Operation, resource: Resource[Empty]) -> Outcome:
        return Outcome()

    def status(self, resource: Resource[Empty]) -> Observed:
        return Observed(health="ready")

    def delete(self, operation: Operation, resource: Resource[Empty]) -> None: ...

    def logs(self, resource: Resource[Empty]) -> Sequence[LogLine]:
        if self.failure is not None:
            raise self.failure
        return self.written[-3:]


class Ticker(Diary):
    """Has one that can be followed, and never ends."""

    name, endpoint = "ticker", "ticker"

    def __init__(self) -> None:
        super().__init__()
        self.given, self.left = 0, anyio.Event()

    async def follow(self, resource: Resource[Empty]) -> AsyncGenerator[LogLine, None]:
        try:
            while True:
                self.given += 1
                yield line(self.given, f"tick {self.given}")
        finally:
            self.left.set()


class Room:
    """A house with both, and one resource of each."""

    def __init__(self, house: House, diary: Diary, ticker: Ticker) -> None:
        self.house, self.diary, self.ticker = house, diary, ticker
        self.owner = {"X-API-Key": house.owner.headers["X-API-Key"]}

    async def path(self, endpoint: str) -> str:
        """Where the log of a new resource is."""
        return f"/v1/{endpoint}/{(await self.house.make(endpoint=endpoint))['id']}/logs"

    @asynccontextmanager
    async def follow(self, path: str, last: str | None = None, **headers: str) -> AsyncIterator[Stream]:
        """Follow it as the owner, unless the headers say otherwise."""
        behind = {} if last is None else {"Last-Event-ID": last}
        async with stream(self.house.app, path, {}, {**ACCEPT, **(headers or self.owner), **behind}) as found:
            yield found


@pytest.fixture
async def room(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Room]:
    """Looks at logs, and at whether a stream may go on, without long pauses."""
    monkeypatch.setattr(logs, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(logs, "HEARTBEAT", 0.02)
    diary, ticker = Diary(), Ticker()
    async with opened(data_dir, diary, ticker) as house:
        yield Room(house, diary, ticker)


async def told(stream: Stream) -> tuple[str, dict[str, Any]]:
    """The id and the data of the next line."""
    while True:
        fields = dict(part.split(": ", 1) for part in (await stream.line()).strip().split("\n") if part[0] != ":")
        if fields:
            return fields.get("id", fields.get("event", "")), json.loads(fields["data"])


# ── What comes ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_log_that_is_looked_at_is_told_line_by_line(room: Room) -> None:
    async with room.follow(await room.path("diary")) as lines:
        assert await lines.line() == ": connected\n\n"
        assert (await told(lines))[1] == {"time": "2030-01-01T00:00:01.000000Z", "level": "info", "message": "one"}
        assert (await told(lines))[1]["message"] == "two"
        room.diary.written.append(line(3, "three"))
        assert (await told(lines))[1]["message"] == "three"


async def test_without_asking_for_a_stream_the_latest_lines_are_the_answer(room: Room) -> None:
    answer = await room.house.owner.get(await room.path("ticker"))
    assert ([one["message"] for one in answer.json()["lines"]], answer.headers["vary"]) == (["one", "two"], "Accept")


async def test_a_reader_goes_on_behind_the_line_that_it_has_seen(room: Room) -> None:
    path = await room.path("diary")
    async with room.follow(path) as lines:
        last, _ = await told(lines)
    async with room.follow(path, last) as lines:
        assert (await told(lines))[1]["message"] == "two"


async def test_where_that_line_is_gone_it_goes_on_with_what_is_later(room: Room) -> None:
    path = await room.path("diary")
    async with room.follow(path, str(Mark.of(line(1, "gone")))) as lines:
        assert (await told(lines))[1]["message"] == "two"


@pytest.mark.parametrize("last", ["7", "2030-01-01T00:00:01Z", "2030-01-01T00:00:01/00", "yesterday/00"])
async def test_what_is_no_line_is_refused(room: Room, last: str) -> None:
    answer = await room.house.owner.get(await room.path("diary"), headers={**ACCEPT, "Last-Event-ID": last})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "last_event_id")


async def test_a_silent_log_shows_that_it_lives(room: Room) -> None:
    room.diary.written.clear()
    async with room.follow(await room.path("diary")) as lines:
        assert [await lines.line(), await lines.line()] == [": connected\n\n", ": alive\n\n"]


async def test_a_resource_token_opens_it_from_a_browser(room: Room) -> None:
    path = await room.path("diary")
    token = (await room.house.owner.post(path.replace("/logs", "/tokens"))).json()["token"]
    async with room.follow(f"{path}", Authorization=f"Bearer {token}") as lines:
        assert (await told(lines))[1]["message"] == "one"


# ── How it ends ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_reader_that_goes_away_ends_the_reading(room: Room) -> None:
    async with room.follow(await room.path("ticker")) as lines:
        await told(lines)
        assert not room.ticker.left.is_set()
    with anyio.fail_after(60):
        await room.ticker.left.wait()


async def test_a_reader_that_is_slow_is_not_read_ahead_for(room: Room) -> None:
    async with room.follow(await room.path("ticker")) as lines:
        while lines.chunks.statistics().current_buffer_used < 1000:  # what the connection holds is full
            await anyio.lowlevel.checkpoint()
        given = room.ticker.given
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        assert room.ticker.given <= given + 3


async def test_it_ends_when_the_resource_is_deleted_and_nothing_more_will_come(room: Room) -> None:
    path = await room.path("diary")
    async with room.follow(path) as lines:
        await told(lines)
        assert (await room.house.owner.delete(path.removesuffix("/logs"))).status_code == 200
        with anyio.fail_after(60):
            await lines.ended.wait()
    assert (await room.house.owner.get(path, headers=ACCEPT)).status_code == 204


async def test_it_ends_when_the_key_is_revoked(room: Room) -> None:
    key = (await room.house.owner.post("/v1/keys", json={"name": "k", "role": "member", "organisation": ORGANISATION})).json()
    async with room.follow(await room.path("ticker"), **{"X-API-Key": key["key"]}) as lines:
        await told(lines)
        await room.house.owner.delete(f"/v1/keys/{key['id']}")
        with anyio.fail_after(60), suppress(anyio.EndOfStream):
            while True:
                await lines.chunks.receive()


async def test_it_ends_when_the_server_stops(room: Room) -> None:
    async with room.follow(await room.path("diary")) as lines:
        await told(lines)
        room.house.core.drain()
        with anyio.fail_after(60):
            await lines.ended.wait()


async def test_while_there_is_no_backend_it_ends_at_once_and_is_to_be_asked_for_again(room: Room) -> None:
    gate = room.house.workshop.close("provision")
    begun = await room.house.begin()
    async with room.follow(f"/v1/shelf/{begun['id']}/logs") as lines:
        assert (lines.status, await lines.line()) == (200, ": connected\n\n")
        with anyio.fail_after(60):
            await lines.ended.wait()
    gate.set()


async def test_what_fails_is_told_as_the_last_event(room: Room) -> None:
    path = await room.path("diary")
    room.diary.failure = RuntimeUnavailable("It cannot be reached.")
    async with room.follow(path) as lines:
        kind, problem = await told(lines)
        assert (kind, problem["status"], problem["detail"]) == ("problem", 503, "It cannot be reached.")
        with anyio.fail_after(60):
            await lines.ended.wait()


async def test_a_log_that_a_provider_does_not_have_is_not_found(room: Room) -> None:
    made = await room.house.make(endpoint="stool")
    assert (await room.house.owner.get(f"/v1/stool/{made['id']}/logs", headers=ACCEPT)).status_code == 404


def test_looking_again_and_again_tells_each_line_once() -> None:
    first = [line(1, "x"), line(2, "x"), line(2, "y")]
    assert lines_behind(None, first) == first
    assert lines_behind(line(2, "x"), first) == [line(2, "y")]
    assert lines_behind(line(2, "y"), first) == []
    assert lines_behind(line(2, "gone"), [line(2, "x"), line(3, "x")]) == [line(3, "x")]
