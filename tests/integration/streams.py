"""Reads a stream while it is open, which httpx's own ASGI transport cannot: it waits for the end of the answer."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream
from starlette.types import ASGIApp, Message


@dataclass(kw_only=True)
class Stream:
    """An open answer."""

    status: int
    chunks: MemoryObjectReceiveStream[bytes]
    left: anyio.Event  # set it to go away
    ended: anyio.Event = field(default_factory=anyio.Event)

    async def line(self) -> str:
        """The next piece; raises EndOfStream once the server has closed the stream."""
        with anyio.fail_after(60):
            return (await self.chunks.receive()).decode()

    async def event(self) -> dict[str, Any]:
        """The next event: its position as `position`, and what it says."""
        while True:
            text = await self.line()
            fields = dict(part.split(": ", 1) for part in text.strip().split("\n") if part[0] != ":")
            if "data" in fields:
                return {**json.loads(fields["data"]), "position": int(fields["id"])}

    async def rest(self) -> list[dict[str, Any]]:
        """Everything to the end of the stream."""
        found = []
        with contextlib.suppress(anyio.EndOfStream):
            while True:
                found.append(await self.event())
        return found


@contextlib.asynccontextmanager
async def stream(app: ASGIApp, path: str, query: dict[str, str], headers: dict[str, str]) -> AsyncIterator[Stream]:
    """GET a stream; leaving the block goes away from it."""
    send_chunk, chunks = anyio.create_memory_object_stream[bytes](1000)
    started, left, ended = anyio.Event(), anyio.Event(), anyio.Event()
    status = 0

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            started.set()
        elif message.get("body"):
            await send_chunk.send(message["body"])

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": urlencode(query).encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("enopax.test", 80),
        "scheme": "http",
        "state": {},
    }

    async def serve() -> None:
        async with send_chunk:
            await app(scope, receive, send)
        ended.set()

    async with anyio.create_task_group() as group, chunks:
        group.start_soon(serve)
        await started.wait()
        yield Stream(status=status, chunks=chunks, left=left, ended=ended)
        left.set()
        group.cancel_scope.cancel()
