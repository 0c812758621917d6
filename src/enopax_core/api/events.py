"""Server-Sent Events over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from enopax_core.api import views
from enopax_core.api.call import Call
from enopax_core.api.wire import dumps
from enopax_core.core.core import Core
from enopax_core.core.streams import Followed

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventHandlers:
    """Handlers of the event streams; a stream ends with the credential that opened it."""

    def __init__(self, core: Core) -> None:
        self._open: dict[str, set[asyncio.Event]] = {}
        core.host.on_revoked(self._revoked)

    async def of_operation(self, call: Call) -> Response:
        """GET /v1/operations/{id}/events"""
        followed = await call.core.streams.of_operation(call.principal, call.id, call.last_event() or 0)
        return Response(status_code=204) if followed is None else self._stream(call, followed)

    async def of_project(self, call: Call) -> Response:
        """GET /v1/events"""
        organisation, project = call.required("org", "project")
        return self._stream(call, await call.core.streams.of_project(call.principal, organisation, project, call.last_event()))

    def _stream(self, call: Call, followed: Followed) -> Response:
        return StreamingResponse(self._guarded(call, _lines(followed)), media_type="text/event-stream", headers=HEADERS)

    async def _guarded(self, call: Call, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The lines, until the credential is revoked or expires."""
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
                following = asyncio.ensure_future(anext(lines))
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

    def _revoked(self, credential: str) -> None:
        for stream in self._open.pop(credential, ()):
            stream.set()


async def _lines(followed: Followed) -> AsyncIterator[bytes]:
    # Whoever is cut off before the first event knows from this where to go on: an id without data is no event, but is
    # kept (HTML standard, 9.2.6).
    yield b": connected\nid: %d\n\n" % followed.after
    async for event in followed.events:
        if event is None:
            yield b": alive\n\n"
        else:
            data = dumps(views.cloud_event(event, followed.place))
            yield b"id: %d\ndata: %s\n\n" % (event.position, data)
