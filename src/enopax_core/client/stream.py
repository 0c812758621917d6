"""Server-Sent Events, from lines to values. No I/O."""

from __future__ import annotations

import json

from enopax_core.client.values import Event


class Lines:
    """Collects the lines of a stream (HTML standard, 9.2.6; of its fields a server here uses `id` and `data`)."""

    def __init__(self) -> None:
        self.position: int | None = None
        """Of the last block that was whole, one without an event too: the stream goes on behind it."""
        self._data = list[str]()
        self._id: int | None = None

    def feed(self, line: str) -> Event | None:
        """One line without its end; the event that it completes, if it does."""
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "id":
            self._id = int(value)
        elif field == "data":
            self._data.append(value)
        elif not line:
            self.position = self._id
            if self._data:
                text, self._data = "\n".join(self._data), []
                return Event.model_validate({**json.loads(text), "position": self.position})
        return None
