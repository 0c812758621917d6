"""What to send when, and when to give up: decided here once, carried out by both clients. No I/O."""

from __future__ import annotations

import json
import random
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httpx2

from enopax_core.client.ask import Ask, Reply
from enopax_core.client.failure import failure, retry_after
from enopax_core.client.stream import PROBLEM, Lines, Source
from enopax_core.errors import EnopaxError, Malformed, Unreachable

T = TypeVar("T")
BUSY = frozenset({429, 502, 503, 504})  # nothing was done, or the idempotency key tells what was
NOTHING_MORE = 204  # of a stream: its end was seen already
REOPEN_SECONDS = 0.5  # until a stream that the server closed before its end is opened again


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How often a request is sent again: only what is safe to repeat, and never against the server's wish."""

    tries: int = 6
    longest: float = 30.0  # seconds that a server may ask to wait

    def pause(self, tried: int, response: httpx2.Response | None) -> float | None:
        """Seconds until the next try after `tried` of them; None: enough. Without a response the connection failed."""
        if tried >= self.tries:
            return None
        asked = None if response is None else retry_after(response.headers)
        in_flight = response is not None and response.status_code == 409 and asked is not None
        if response is not None and response.status_code not in BUSY and not in_flight:
            return None
        if asked is not None:
            return asked if asked <= self.longest else None
        return min(self.longest, 0.2 * 2.0 ** (tried - 1)) * random.uniform(0.75, 1.25)  # noqa: S311  # spreads tries, hides nothing


Answer = httpx2.Response | httpx2.TransportError
Exchange = Generator[Ask[Any] | float, Answer | None, T]
"""Yields a request to send (give it the answer) or seconds to sleep; returns the value."""


def exchange(ask: Ask[T], patience: Patience) -> Exchange[T]:
    """Send until there is an answer that counts. Raises what the server raised, or Unreachable."""
    ask, tried = ask.once(), 0
    while True:
        answer = yield ask
        tried += 1
        response = answer if isinstance(answer, httpx2.Response) else None
        if response is not None and response.is_success:
            return _read(ask, response)
        pause = patience.pause(tried, response)
        if pause is not None:
            yield pause
        elif response is not None:
            raise refusal(response)
        else:
            raise unreachable(answer)


def unreachable(error: object) -> Unreachable:
    """The server could not be reached."""
    return Unreachable(f"The server cannot be reached: {str(error).rstrip('.') or type(error).__name__}.")


def refusal(response: httpx2.Response) -> EnopaxError:
    """The error that an answer stands for."""
    try:
        body = response.json()
    except ValueError:
        body = None
    return failure(response.status_code, body, response.headers)


def answered(response: httpx2.Response) -> Any:
    """What a server answered to something that is asked once. Raises what the server raised."""
    if not response.is_success:
        raise refusal(response)
    return _read(Ask(method="", path="", read=lambda reply: reply.body), response)


def address(url: str) -> httpx2.URL:
    """A server's address. Raises Malformed for what is none."""
    try:
        found = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise Malformed(f"{url} is no address: {error}.") from error
    if found.scheme not in ("http", "https") or not found.host:
        raise Malformed(f"{url} is no address of a server: it begins with http:// or https:// and a host.")
    return found


def is_loopback(url: httpx2.URL) -> bool:
    """Whether a server runs on this machine: it is asked directly, whatever proxy the environment names for others."""
    return url.host in ("localhost", "::1") or url.host.startswith("127.")


class Following(Generic[T]):
    """A stream that goes on where it broke off, until its end.

    Open `source` with `headers`; tell of the answer, of each line, and of how the connection ended; sleep for `pause`
    seconds and open it again while `goes_on`.
    """

    def __init__(self, source: Source[T], after: str | None, patience: Patience) -> None:
        self.source, self.goes_on, self.pause = source, True, 0.0
        self._after, self._patience, self._tried = after, patience, 0
        self._lines, self._has_ended = Lines(), False

    @property
    def headers(self) -> dict[str, str]:
        """For the next connection."""
        return {"Accept": "text/event-stream", **({} if self._after is None else {"Last-Event-ID": self._after})}

    def opened(self, response: httpx2.Response) -> bool:
        """The server has answered; whether lines follow."""
        self._lines = Lines()
        return response.is_success and response.status_code != NOTHING_MORE

    def line(self, line: str) -> Iterator[T]:
        """A line came; the value that it completes, if it does. Raises what the server ended the stream with."""
        self._tried = 0
        message = self._lines.feed(line)
        self._after = self._lines.last or self._after
        if message is None:
            return
        if message.type == PROBLEM:
            problem = json.loads(message.data)
            raise failure(problem["status"], problem, {})
        value = self.source.read(message)
        self._has_ended = self.source.is_last(value)
        yield value

    def closed(self, response: httpx2.Response) -> None:
        """The answer has been read to its end. Raises what the server raised."""
        if response.is_success:
            self.goes_on = response.status_code != NOTHING_MORE and not self._has_ended
            self.pause = REOPEN_SECONDS
            return
        self._tried += 1
        pause = self._patience.pause(self._tried, response)
        if pause is None:
            raise refusal(response)
        self.pause = pause

    def broken(self, error: httpx2.TransportError) -> None:
        """The connection broke, or there was none. Raises Unreachable."""
        self._tried += 1
        pause = self._patience.pause(self._tried, None)
        if pause is None:
            raise unreachable(error) from error
        self.pause = pause


def _read(ask: Ask[T], response: httpx2.Response) -> T:
    """Raises EnopaxError where what answers is no server of ours."""
    try:
        body = response.json() if response.content else {}
        return ask.read(Reply(status=response.status_code, body=body, headers=response.headers))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EnopaxError(f"{response.url} did not answer as an Enopax server does.") from error
