"""The two clients: what `exchange` decides, carried out over httpx's blocking and asynchronous transports."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from types import TracebackType
from typing import Any, TypeVar

import anyio
import httpx

from enopax_core.client.ask import Ask
from enopax_core.client.exchange import Answer, Following, Patience, exchange, refusal
from enopax_core.client.operations import show
from enopax_core.client.values import Event, Operation

T = TypeVar("T")
TIMEOUT = httpx.Timeout(75.0, connect=10.0)  # seconds; a request may wait 60 s for its operation
GONE, DONE = 0.5, 204  # seconds until a stream that the server closed early is opened again; nothing follows any more


class Client:
    """Blocking. `with Client(url, key) as client: client.send(resources.show("git-repo", id))`."""

    def __init__(self, url: str, key: str | None = None, *, patience: Patience | None = None) -> None:
        self._http = httpx.Client(base_url=url, headers=_headers(key), timeout=TIMEOUT)
        self._patience = patience or Patience()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
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
            except httpx.TransportError as error:
                answer = error

    def events(self, path: str, *, params: Mapping[str, str] | None = None, after: int | None = None) -> Iterator[Event]:
        """Follow a stream of events behind a position; it goes on by itself where the connection breaks."""
        following, event = Following(path, params, after, self._patience), None
        while True:
            pause = GONE
            try:
                with self._http.stream("GET", path, params=following.params, headers=following.headers) as response:
                    if response.status_code == DONE:
                        return
                    if not response.is_success:
                        response.read()
                        raise refusal(response)
                    following.opened()
                    for line in response.iter_lines():
                        if (found := following.line(line)) is not None:
                            event = found
                            yield found
                if following.closed(event):
                    return
            except httpx.TransportError as error:
                pause = following.broken(error)
            time.sleep(pause)

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
        """`app`: an ASGI application to ask instead of the network, for tests."""
        transport = None if app is None else httpx.ASGITransport(app)
        self._http = httpx.AsyncClient(base_url=url, headers=_headers(key), timeout=TIMEOUT, transport=transport)
        self._patience = patience or Patience()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
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
            except httpx.TransportError as error:
                answer = error

    async def events(
        self, path: str, *, params: Mapping[str, str] | None = None, after: int | None = None
    ) -> AsyncIterator[Event]:
        """See Client."""
        following, event = Following(path, params, after, self._patience), None
        while True:
            pause = GONE
            try:
                async with self._http.stream("GET", path, params=following.params, headers=following.headers) as response:
                    if response.status_code == DONE:
                        return
                    if not response.is_success:
                        await response.aread()
                        raise refusal(response)
                    following.opened()
                    async for line in response.aiter_lines():
                        if (found := following.line(line)) is not None:
                            event = found
                            yield found
                if following.closed(event):
                    return
            except httpx.TransportError as error:
                pause = following.broken(error)
            await anyio.sleep(pause)

    def follow(self, operation: str) -> AsyncIterator[Event]:
        """See Client."""
        return self.events(f"/v1/operations/{operation}/events")

    async def wait(self, operation: str) -> Operation:
        """See Client."""
        async for _ in self.follow(operation):
            pass
        return await self.send(show(operation))


def _headers(key: str | None) -> Mapping[str, str]:
    return {} if key is None else {"X-API-Key": key}


def _options(ask: Ask[Any]) -> dict[str, Any]:
    return {"params": dict(ask.params), "json": ask.body, "headers": dict(ask.headers)}
