"""What parent and child say to each other: one JSON object a line over an inherited Unix socket pair.

Child to parent: `{"id", "call": "identify"|"open", …}` answered by `{"id", …}`, and `{"tell": "ready"|"ended", …}`.
Parent to child: `{"tell": "kill", "session"}`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

Message = dict[str, Any]


class Channel:
    """One end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Message]] = {}

    def tell(self, **message: Any) -> None:
        """Send without expecting an answer; lost if the other end is gone."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def ask(self, **message: Any) -> Message:
        """Send and wait for the answer. Raises ConnectionError if the other end is gone."""
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self.tell(id=number, **message)
            answer: Message = await future
            return answer
        finally:
            del self._waiting[number]

    async def messages(self) -> AsyncIterator[Message]:
        """What the other end says of its own accord, until it is gone; answers go to who asked."""
        while line := await self._reader.readline():
            message: Message = json.loads(line)
            waiting = self._waiting.get(message.get("id", 0)) if "call" not in message else None
            if waiting is not None:
                if not waiting.done():
                    waiting.set_result(message)
            elif "call" in message or "tell" in message:
                yield message
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionError("The other process is gone."))

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
