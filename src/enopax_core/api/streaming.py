"""Answers that stay open: Server-Sent Events, each stream ending with the credential that opened it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from starlette.responses import Response, StreamingResponse

from enopax_core.api.call import Call
from enopax_core.core.core import Core

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
ALIVE = b": alive\n\n"


class OpenStreams:
    """The streams that are open, by credential."""

    def __init__(self, core: Core) -> None:
        self._open: dict[str, set[asyncio.Event]] = {}
        core.host.on_revoked(self._revoked)

    def respond(self, call: Call, messages: AsyncGenerator[bytes, None]) -> Response:
        """Send messages as they come, and no faster than they are taken."""
        return StreamingResponse(self._guarded(call, messages), media_type="text/event-stream", headers=HEADERS)

    async def _guarded(self, call: Call, messages: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
        """The messages, until the credential is revoked or expires."""
        revoked = asyncio.Event()
        streams = self._open.setdefault(call.principal.credential, set())
        streams.add(revoked)
        ending = asyncio.ensure_future(revoked.wait())
        expires_at = call.principal.expires_at
        left = None if expires_at is None else max(0.0, (expires_at - call.core.clock()).total_seconds())
        timer = None if left is None else asyncio.get_running_loop().call_later(left, revoked.set)
        following: asyncio.Future[bytes] | None = None
        try:
            while not revoked.is_set():
                following = asyncio.ensure_future(anext(messages))
                await asyncio.wait({following, ending}, return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    return
                try:
                    yield following.result()
                except StopAsyncIteration:
                    return
        finally:
            streams.discard(revoked)
            ending.cancel()
            if timer is not None:
                timer.cancel()
            if following is not None and not following.done():
                following.cancel()
                with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
                    await following
            await messages.aclose()

    def _revoked(self, credential: str) -> None:
        for stream in self._open.pop(credential, ()):
            stream.set()
