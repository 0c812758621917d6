"""Custom endpoints that answer with a file, or take one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from starlette.requests import Request
from starlette.types import Message, Scope
from tests.integration.conftest import PLACE, WHERE, House, opened

from enopax_core import Change, hookimpl
from enopax_core.api import downloads, uploads
from enopax_core.api.downloads import DownloadResponse
from enopax_core.api.problems import HttpError
from enopax_core.errors import Refused, TemporaryError
from enopax_core.provider import Config, Download, Observed, Operation, Outcome, Provider, Resource, Upload, custom_endpoint
from enopax_core.provider.transfers import Sink

pytestmark = pytest.mark.anyio
PIECE = bytes(range(256)) * 256


class Film(Provider[Config]):
    """Has something to send."""

    name, endpoint = "film", "film"
    spliced: int | None = None  # bytes

    def provision(self, operation: Operation, resource: Resource[Config]) -> Outcome:
        """Shoot."""
        return Outcome()

    def status(self, resource: Resource[Config]) -> Observed:
        """Look."""
        return Observed(health="ready")

    def delete(self, operation: Operation, resource: Resource[Config]) -> None:
        """Burn."""

    @custom_endpoint("GET", "/reels/{reel}", permission="read")
    def reel(self, resource: Resource[Config], reel: str) -> Download:
        """Send a reel of so many pieces."""

        async def write(sink: Sink) -> None:
            if reel == "lost":
                raise TemporaryError("The reel is lost.")
            for _ in range(int(reel)):
                await sink(PIECE)

        return Download(filename=f"reel „{reel}“.film", write=write)

    @custom_endpoint("GET", "/negative", permission="credentials")
    def negative(self, resource: Resource[Config]) -> Download:
        """Send what nobody should see by chance."""

        async def write(sink: Sink) -> None:
            await sink(PIECE)

        return Download(filename="negative.film", write=write)

    @custom_endpoint("POST", "/reels", permission="operate", body_limit=4 * len(PIECE))
    async def splice(self, resource: Resource[Config], upload: Upload) -> dict[str, int]:
        """Take a reel, and count its bytes."""
        self.spliced = 0
        async for piece in upload.pieces:
            self.spliced += len(piece)
        return {"bytes": self.spliced}


class Censor:
    """Lets nobody splice a film that is called forbidden."""

    @hookimpl
    async def enopax_admit(self, change: Change) -> None:
        if change.type == "splice" and change.before is not None and change.before.name == "forbidden":
            raise Refused("This film stays as it is.")


@pytest.fixture
async def cinema(data_dir: Path) -> AsyncIterator[House]:
    """A house with a film."""
    film = Film()
    async with opened(data_dir, film, Censor()) as house:
        house.spliced = lambda: film.spliced  # type: ignore[attr-defined]  # for these tests alone
        answer = await house.owner.post("/v1/film", json={"name": "one", **PLACE})
        house.film = f"/v1/film/{answer.json()['id']}"  # type: ignore[attr-defined]  # for these tests alone
        yield house


def of(house: House, below: str) -> str:
    """A path below the film."""
    return f"{house.film}{below}"  # type: ignore[attr-defined]  # as above


async def test_a_file_arrives_whole_with_its_name(cinema: House) -> None:
    answer = await cinema.owner.get(of(cinema, "/reels/3"))
    assert (answer.status_code, answer.content) == (200, PIECE * 3)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''reel%20%E2%80%9E3%E2%80%9C.film"
    assert (answer.headers["cache-control"], answer.headers.get("content-length")) == ("no-store", None)


async def test_a_file_of_nothing_is_an_answer(cinema: House) -> None:
    answer = await cinema.owner.get(of(cinema, "/reels/0"))
    assert (answer.status_code, answer.content) == (200, b"")


async def test_what_is_raised_before_the_first_piece_is_the_answer(cinema: House) -> None:
    answer = await cinema.owner.get(of(cinema, "/reels/lost"))
    assert (answer.status_code, answer.json()["error"]) == (503, "The reel is lost.")


async def test_a_head_of_a_file_sends_nothing(cinema: House) -> None:
    answer = await cinema.owner.head(of(cinema, "/reels/lost"))
    assert (answer.status_code, answer.content) == (200, b"")


async def test_what_changes_or_is_secret_stands_in_the_audit_log(cinema: House) -> None:
    await cinema.owner.get(of(cinema, "/reels/1"))
    await cinema.owner.get(of(cinema, "/negative"))
    await cinema.owner.post(of(cinema, "/reels"), content=PIECE, headers={"Content-Type": "application/octet-stream"})
    entries = (await cinema.owner.get("/v1/audit", params=WHERE)).json()["entries"]
    assert sorted(entry["action"] for entry in entries) == ["negative", "provision", "splice"]


async def test_a_policy_may_refuse_a_direct_call_that_changes_something(cinema: House) -> None:
    forbidden = await cinema.make("forbidden", "film")
    answer = await cinema.owner.post(
        f"/v1/film/{forbidden['id']}/reels", content=PIECE, headers={"Content-Type": "application/octet-stream"}
    )
    assert (answer.status_code, answer.json()["error"]) == (403, "This film stays as it is.")
    assert cinema.spliced() is None  # type: ignore[attr-defined]  # as above


async def test_discovery_and_the_description_say_that_it_is_a_file(cinema: House) -> None:
    providers = (await cinema.get("/providers/info"))["providers"]
    film, shelf = (next(p for p in providers if p["name"] == name) for name in ("film", "shelf"))
    assert {custom["path"]: (custom.get("upload"), custom.get("download")) for custom in film["customEndpoints"]} == {
        "/reels/{reel}": (None, True),
        "/negative": (None, True),
        "/reels": (True, None),
    }
    assert [custom for custom in shelf["customEndpoints"] if {"upload", "download"} & set(custom)] == []
    paths = (await cinema.get("/openapi.json"))["paths"]
    described = paths["/v1/film/{id}/reels/{reel}"]["get"]["responses"]["200"]
    assert list(described["content"]) == ["application/octet-stream"]
    described = paths["/v1/film/{id}/reels"]["post"]["requestBody"]
    assert list(described["content"]) == ["application/octet-stream"]


# ── Taken ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def pieces(number: int) -> AsyncIterator[bytes]:
    """A body of so many pieces."""
    for _ in range(number):
        yield PIECE


async def test_a_file_is_taken_piece_by_piece(cinema: House) -> None:
    answer = await cinema.owner.post(of(cinema, "/reels"), content=pieces(4))
    assert (answer.status_code, answer.json()) == (200, {"success": True, "bytes": 4 * len(PIECE)})


async def test_a_file_past_the_limit_is_refused_while_it_comes_in(cinema: House) -> None:
    answer = await cinema.owner.post(of(cinema, "/reels"), content=pieces(5))
    assert answer.status_code == 413
    assert cinema.spliced() == 4 * len(PIECE)  # type: ignore[attr-defined]  # as above


async def test_a_file_that_was_taken_is_not_taken_again(cinema: House) -> None:
    headers = {"Idempotency-Key": "reel-1"}
    first = await cinema.owner.post(of(cinema, "/reels"), content=pieces(2), headers=headers)
    again = await cinema.owner.post(of(cinema, "/reels"), content=pieces(1), headers=headers)
    assert again.json() == first.json()


@pytest.mark.parametrize(("message", "status"), [({"type": "http.disconnect"}, 400), (None, 408)])
async def test_a_client_that_goes_away_or_silent_ends_the_taking(
    message: Message | None, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "SILENT_SECONDS", 0.05)
    messages: list[Message] = [{"type": "http.request", "body": PIECE, "more_body": True}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        if message is None:
            await anyio.sleep_forever()
        assert message is not None
        return message

    taking = uploads.pieces(Request({"type": "http", "headers": []}, receive), 1 << 20)
    assert await anext(taking) == PIECE
    with pytest.raises(HttpError) as caught:
        await anext(taking)
    assert caught.value.status == status


# ── Broken off ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Client:
    """An ASGI client of a response, which may take nothing, and goes away when told."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.gone, self.takes = anyio.Event(), anyio.Event()
        self.takes.set()

    async def receive(self) -> Message:
        """Waits for the end."""
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Takes a message, once it takes any."""
        await self.takes.wait()
        self.messages.append(message)

    async def ask(self, response: DownloadResponse) -> None:
        """Ask for a file."""
        scope: Scope = {"type": "http", "method": "GET"}
        with anyio.fail_after(60):
            await response(scope, self.receive, self.send)

    @property
    def whole(self) -> bool:
        """Whether the answer came to its end."""
        return not self.messages[-1].get("more_body", True)


class Writer:
    """Writes without end, and says when it is stopped."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.stopped = error, False

    async def __call__(self, sink: Sink) -> None:
        try:
            await sink(PIECE)
            if self.error:
                raise self.error
            while True:
                await sink(PIECE)
                await anyio.lowlevel.checkpoint()
        finally:
            self.stopped = True

    @property
    def response(self) -> DownloadResponse:
        """The answer that it writes."""
        return DownloadResponse(Download(filename="film", write=self))


async def test_a_client_that_goes_away_stops_the_writing() -> None:
    client, writer = Client(), Writer()

    async def leave(message: Message) -> None:
        await Client.send(client, message)
        if len(client.messages) == 3:
            client.gone.set()

    client.send = leave  # type: ignore[method-assign]  # one that leaves in the middle
    await client.ask(writer.response)
    assert (writer.stopped, client.whole) == (True, False)


async def test_a_client_that_takes_nothing_stops_the_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "STALLED_SECONDS", 0.05)
    client, writer = Client(), Writer()
    client.takes = anyio.Event()
    await client.ask(writer.response)
    assert (writer.stopped, client.messages) == (True, [])


@pytest.mark.parametrize("error", [TemporaryError("The end is lost."), ValueError("secret")])
async def test_a_file_that_fails_in_the_middle_lacks_its_end(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    client = Client()
    await client.ask(Writer(error).response)
    assert [message["type"] for message in client.messages] == ["http.response.start", "http.response.body"]
    assert not client.whole
    assert "A download broke off" in caplog.text


async def test_a_server_that_says_that_the_client_has_gone_stops_the_writing() -> None:
    client, writer = Client(), Writer()

    async def broken(_: Message) -> None:
        raise OSError

    client.send = broken  # type: ignore[assignment,method-assign]  # as servers of ASGI 2.4 do
    await client.ask(writer.response)
    assert writer.stopped
