"""What to send when, and when to give up: decided here once, carried out by both clients. No I/O."""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from enopax_core.client.ask import Ask, failure, retry_after
from enopax_core.client.stream import Lines
from enopax_core.client.values import Event
from enopax_core.errors import Unreachable

T = TypeVar("T")


@dataclass(kw_only=True)
class Patience:
    """How often a request is sent again: only what is safe to repeat, and never against the server's wish."""

    tries: int = 6
    longest: float = 30.0  # seconds that a server may ask to wait

    def pause(self, tried: int, response: httpx.Response | None) -> float | None:
        """Seconds until the next try after `tried` of them; None: enough. Without a response the connection failed."""
        if tried >= self.tries:
            return None
        asked = None if response is None else retry_after(response.headers)
        if response is not None and response.status_code not in (429, 503) and not (response.status_code == 409 and asked):
            return None
        if asked is not None:
            return asked if asked <= self.longest else None
        return min(self.longest, 0.2 * 2.0 ** (tried - 1)) * random.uniform(0.75, 1.25)  # noqa: S311  # spreads tries, hides nothing


Answer = httpx.Response | httpx.TransportError
Exchange = Generator[Ask[Any] | float, Answer | None, T]
"""Yields a request to send (give it the answer) or seconds to sleep; returns the value."""


def exchange(ask: Ask[T], patience: Patience) -> Exchange[T]:
    """Send until there is an answer that counts. Raises what the server raised, or Unreachable."""
    ask, tried = ask.once(), 0
    while True:
        answer = yield ask
        tried += 1
        response = answer if isinstance(answer, httpx.Response) else None
        if response is not None and response.is_success:
            return ask.read(response.json() if response.content else {})
        pause = patience.pause(tried, response)
        if pause is not None:
            yield pause
        elif response is not None:
            raise refusal(response)
        else:
            raise unreachable(answer)


def refusal(response: httpx.Response) -> Exception:
    """The error that an answer stands for."""
    try:
        body = response.json()
    except ValueError:
        body = None
    return failure(response.status_code, body, response.headers)


def unreachable(error: object) -> Unreachable:
    """The server could not be reached."""
    return Unreachable(f"The server cannot be reached: {error or type(error).__name__}.")


class Following:
    """A stream that goes on where it broke off, until its end."""

    def __init__(self, path: str, params: Mapping[str, str] | None, after: int | None, patience: Patience) -> None:
        self.path, self.params = path, dict(params or {})
        self._after, self._patience, self._tried = after, patience, 0
        self._has_end = path.startswith("/v1/operations/")
        self._lines = Lines()

    @property
    def headers(self) -> dict[str, str]:
        """For the next connection."""
        return {} if self._after is None else {"Last-Event-ID": str(self._after)}

    def opened(self) -> None:
        """A connection stands."""
        self._lines, self._tried = Lines(), 0

    def line(self, line: str) -> Event | None:
        """A line came; the event that it completes."""
        event = self._lines.feed(line)
        if event is not None:
            self._after = event.position
        return event

    def closed(self, event: Event | None) -> bool:
        """The server has closed the stream after this event; whether that was its end."""
        return self._has_end and event is not None and event.operation.ended

    def broken(self, error: httpx.TransportError) -> float:
        """The connection broke; seconds until the next. Raises Unreachable."""
        self._tried += 1
        pause = self._patience.pause(self._tried, None)
        if pause is None:
            raise unreachable(error) from error
        return pause
