"""Server-Sent Events over HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from starlette.responses import Response

from enopax_core.api import views
from enopax_core.api.call import Call
from enopax_core.api.streaming import ALIVE, OpenStreams
from enopax_core.api.wire import dumps
from enopax_core.core.streams import Followed


class EventHandlers:
    """Handlers of the event streams."""

    def __init__(self, streams: OpenStreams) -> None:
        self._streams = streams

    async def of_operation(self, call: Call) -> Response:
        """GET /v1/operations/{id}/events"""
        followed = await call.core.streams.of_operation(call.principal, call.id, call.last_event() or 0)
        return Response(status_code=204) if followed is None else self._streams.respond(call, _messages(followed))

    async def of_project(self, call: Call) -> Response:
        """GET /v1/events"""
        organisation, project = call.required("org", "project")
        followed = await call.core.streams.of_project(call.principal, organisation, project, call.last_event())
        return self._streams.respond(call, _messages(followed))


async def _messages(followed: Followed) -> AsyncGenerator[bytes, None]:
    # Whoever is cut off before the first event knows from this where to go on: an id without data is no event, but is
    # kept (HTML standard, 9.2.6).
    yield b": connected\nid: %d\n\n" % followed.after
    async for event in followed.events:
        if event is None:
            yield ALIVE
        else:
            data = dumps(views.cloud_event(event, followed.place))
            yield b"id: %d\ndata: %s\n\n" % (event.position, data)
