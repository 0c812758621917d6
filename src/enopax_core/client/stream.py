"""Server-Sent Events, from lines to values. No I/O."""

from __future__ import annotations

import json

from enopax_core.client.values import Event


class Lines:
    """Collects the lines of a stream."""

    def __init__(self) -> None:
        self._position, self._text = 0, ""

    def feed(self, line: str) -> Event | None:
        """One line without its end; the event that it completes, if it does."""
        if line.startswith("id:"):
            self._position = int(line.removeprefix("id:"))
        elif line.startswith("data:"):
            self._text += line.removeprefix("data:").strip()
        elif not line and self._text:
            text, self._text = self._text, ""
            return Event.model_validate({**json.loads(text), "position": self._position})
        return None
