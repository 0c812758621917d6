"""Server-Sent Events, from lines to values. No I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from enopax_core.client.ask import path
from enopax_core.client.values import Event, LogLine

T = TypeVar("T")
PROBLEM = "problem"
"""Type of an event by which a server tells why it ends a stream."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """One event as the wire has it."""

    type: str
    id: str
    data: str = field(repr=False)


class Lines:
    """Collects the lines of a stream (HTML standard, 9.2.6; of its fields a server here uses `event`, `id` and `data`)."""

    def __init__(self) -> None:
        self.last: str | None = None
        """Id of the last block that was whole, one without an event too: the stream goes on behind it."""
        self._type, self._id, self._data = "", "", list[str]()

    def feed(self, line: str) -> Message | None:
        """One line without its end; the event that it completes, if it does."""
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._type = value
        elif name == "id":
            self._id = value
        elif name == "data":
            self._data.append(value)
        elif not line:
            self.last = self._id or None
            text, type_ = "\n".join(self._data), self._type
            self._type, self._data = "", []
            return Message(type=type_, id=self._id, data=text) if text else None
        return None


@dataclass(frozen=True, kw_only=True)
class Source(Generic[T]):
    """A stream that can be followed, and how its messages become values."""

    path: str
    read: Callable[[Message], T] = field(repr=False)
    is_last: Callable[[T], bool] = field(repr=False)
    params: Mapping[str, str] = field(default_factory=dict)


def events(path: str, params: Mapping[str, str] | None = None) -> Source[Event]:
    """A stream of events; an operation's ends with its terminal one."""

    def read(message: Message) -> Event:
        return Event.model_validate({**json.loads(message.data), "position": int(message.id)})

    of_operation = path.startswith("/v1/operations/")
    return Source(path=path, read=read, is_last=lambda event: of_operation and event.operation.ended, params=dict(params or {}))


def log(endpoint: str, id: str) -> Source[LogLine]:
    """The lines of a resource's log, as they are written."""

    def read(message: Message) -> LogLine:
        return LogLine.model_validate_json(message.data)

    return Source(path=path(endpoint, id, "logs"), read=read, is_last=lambda _: False)
