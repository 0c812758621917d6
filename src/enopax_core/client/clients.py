"""The two clients: what `exchange` decides, carried out over blocking and asynchronous connections."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, TypeVar

import anyio
import httpx2

from enopax_core.client import stream
from enopax_core.client.ask import Ask
from enopax_core.client.exchange import (
    Answer,
    Following,
    Patience,
    address,
    answered,
    exchange,
    is_loopback,
    refusal,
    unreachable,
)
from enopax_core.client.operations import show
from enopax_core.client.stream import Source
from enopax_core.client.values import Event, LogLine, Operation
from enopax_core.errors import Malformed

T = TypeVar("T")
TIMEOUT = httpx2.Timeout(75.0, connect=10.0)  # seconds; a request may wait 60 s, a stream shows every 15 s that it lives
FILE = {"Content-Type": "application/octet-stream"}
PATIENT = httpx2.Timeout(None, connect=10.0)  # a backup may take minutes until it begins


class Client:
    """Blocking. `with Client(url, key) as client: client.send(resources.show("git-repo", id))`."""

    def __init__(self, url: str, key: str | None = None, *, patience: Patience | None = None) -> None:
        """Raises Malformed for an address that is none."""
        self._http = httpx2.Client(**_settings(url, key))
        self._patience = patience or Patience()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def send(self, ask: Ask[T]) -> T:
        """Ask, again where that is safe. Raises what the server raised, or Unreachable."""
        plan = exchange(ask, self._patience)
        answer: Answer | None = None
        while True:
            try:
                step = plan.send(answer)
            except StopIteration as end:
                found: T = end.value
                return found
            answer = None
            if isinstance(step, float):
                time.sleep(step)
                continue
            try:
                answer = self._http.request(step.method, step.path, **_options(step))
            except httpx2.TransportError as error:
                answer = error

    def events(self, path: str, *, params: Mapping[str, str] | None = None, after: int | None = None) -> Iterator[Event]:
        """Follow a stream of events behind a position; it goes on by itself where the connection breaks."""
        return self._follow(stream.events(path, params), None if after is None else str(after))

    def logs(self, endpoint: str, id: str) -> Iterator[LogLine]:
        """A resource's log: its latest lines, then each as it is written, until the resource is deleted; goes on by itself too.

        After the connection broke, a line may come again.
        """
        return self._follow(stream.log(endpoint, id))

    def _follow(self, source: Source[T], after: str | None = None) -> Iterator[T]:
        following = Following(source, after, self._patience)
        while following.goes_on:
            try:
                with self._http.stream("GET", source.path, params=source.params, headers=following.headers) as response:
                    if following.opened(response):
                        for line in response.iter_lines():
                            yield from following.line(line)
                    else:
                        response.read()
                following.closed(response)
            except httpx2.TransportError as error:
                following.broken(error)
            if following.goes_on:
                time.sleep(following.pause)

    def download(self, method: str, path: str, *, params: Mapping[str, str] | None = None) -> Iterator[bytes]:
        """The body of a long answer, piece by piece, however long it takes to begin; never asked for twice.

        Raises what the server raised, or Unreachable, in the middle too: what came until then is not whole.
        """
        try:
            with self._http.stream(method, path, params=params, timeout=PATIENT) as response:
                if not response.is_success:
                    response.read()
                    raise refusal(response)
                yield from response.iter_bytes()
        except httpx2.TransportError as error:
            raise unreachable(error) from error

    def upload(self, method: str, path: str, pieces: Iterable[bytes]) -> Any:
        """Send a long body piece by piece; the answer, however long it takes. Never sent twice.

        Raises what the server raised, or Unreachable: whether it has done it is not known then.
        """
        try:
            response = self._http.request(method, path, content=pieces, headers=FILE, timeout=PATIENT)
        except httpx2.TransportError as error:
            raise unreachable(error) from error
        return answered(response)

    def follow(self, operation: str) -> Iterator[Event]:
        """An operation's events, from its first to its last."""
        return self.events(f"/v1/operations/{operation}/events")

    def wait(self, operation: str) -> Operation:
        """Wait for an operation's end, however long that takes."""
        for _ in self.follow(operation):
            pass
        return self.send(show(operation))


class AsyncClient:
    """Asynchronous. `async with AsyncClient(url, key) as client: await client.send(resources.show("git-repo", id))`."""

    def __init__(self, url: str, key: str | None = None, *, patience: Patience | None = None, app: Any | None = None) -> None:
        """`app`: an ASGI application to ask instead of the network, for tests. Raises Malformed for an address that is none."""
        transport = None if app is None else httpx2.ASGITransport(app)
        self._http = httpx2.AsyncClient(**_settings(url, key), transport=transport)
        self._patience = patience or Patience()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def send(self, ask: Ask[T]) -> T:
        """See Client."""
        plan = exchange(ask, self._patience)
        answer: Answer | None = None
        while True:
            try:
                step = plan.send(answer)
            except StopIteration as end:
                found: T = end.value
                return found
            answer = None
            if isinstance(step, float):
                await anyio.sleep(step)
                continue
            try:
                answer = await self._http.request(step.method, step.path, **_options(step))
            except httpx2.TransportError as error:
                answer = error

    def events(self, path: str, *, params: Mapping[str, str] | None = None, after: int | None = None) -> AsyncIterator[Event]:
        """See Client."""
        return self._follow(stream.events(path, params), None if after is None else str(after))

    def logs(self, endpoint: str, id: str) -> AsyncIterator[LogLine]:
        """See Client."""
        return self._follow(stream.log(endpoint, id))

    async def _follow(self, source: Source[T], after: str | None = None) -> AsyncIterator[T]:
        following = Following(source, after, self._patience)
        while following.goes_on:
            try:
                async with self._http.stream("GET", source.path, params=source.params, headers=following.headers) as response:
                    if following.opened(response):
                        async for line in response.aiter_lines():
                            for value in following.line(line):
                                yield value
                    else:
                        await response.aread()
                following.closed(response)
            except httpx2.TransportError as error:
                following.broken(error)
            if following.goes_on:
                await anyio.sleep(following.pause)

    async def download(self, method: str, path: str, *, params: Mapping[str, str] | None = None) -> AsyncIterator[bytes]:
        """See Client."""
        try:
            async with self._http.stream(method, path, params=params, timeout=PATIENT) as response:
                if not response.is_success:
                    await response.aread()
                    raise refusal(response)
                async for piece in response.aiter_bytes():
                    yield piece
        except httpx2.TransportError as error:
            raise unreachable(error) from error

    async def upload(self, method: str, path: str, pieces: AsyncIterable[bytes]) -> Any:
        """See Client."""
        try:
            response = await self._http.request(method, path, content=pieces, headers=FILE, timeout=PATIENT)
        except httpx2.TransportError as error:
            raise unreachable(error) from error
        return answered(response)

    def follow(self, operation: str) -> AsyncIterator[Event]:
        """See Client."""
        return self.events(f"/v1/operations/{operation}/events")

    async def wait(self, operation: str) -> Operation:
        """See Client."""
        async for _ in self.follow(operation):
            pass
        return await self.send(show(operation))


def _settings(url: str, key: str | None) -> dict[str, Any]:
    """Raises Malformed: what would be refused later, by a sentence with the key in it, is refused here."""
    found = address(url)
    if key is not None and not (key.isascii() and key.isprintable() and key.strip()):
        raise Malformed("The API key holds characters that no key has: was it copied whole?")
    headers = {} if key is None else {"X-API-Key": key}
    return {"base_url": found, "headers": headers, "timeout": TIMEOUT, "trust_env": not is_loopback(found)}


def _options(ask: Ask[Any]) -> dict[str, Any]:
    return {"params": dict(ask.params), "json": ask.body, "headers": dict(ask.headers)}
