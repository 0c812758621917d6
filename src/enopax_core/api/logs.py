"""The log of a resource's backend over HTTP: its latest lines, or a stream of all that come."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from starlette.responses import Response

from enopax_core.api.call import Call
from enopax_core.api.problems import problem
from enopax_core.api.streaming import ALIVE, OpenStreams
from enopax_core.api.wire import answer, dumps
from enopax_core.clock import rfc3339
from enopax_core.core.logs import Mark
from enopax_core.errors import EnopaxError, Fault, Malformed
from enopax_core.records.log import LogLine

VARY = {"Vary": "Accept"}


class LogHandlers:
    """Handlers of logs."""

    def __init__(self, streams: OpenStreams) -> None:
        self._streams = streams

    async def get(self, call: Call) -> Response:
        """GET /v1/{endpoint}/{id}/logs"""
        if "text/event-stream" in call.request.headers.get("accept", ""):
            return await self._follow(call)
        lines = await call.core.resources.logs(call.principal, call.endpoint, call.id)
        return answer({"lines": [_shown(line) for line in lines]}, headers=VARY)

    async def _follow(self, call: Call) -> Response:
        lines = await call.core.logs.follow(call.principal, call.endpoint, call.id, _mark(call.last_event_id()))
        if lines is None:
            return Response(status_code=204, headers=VARY)
        response = self._streams.respond(call, _messages(lines))
        response.headers.update(VARY)
        return response


async def _messages(lines: AsyncGenerator[LogLine | None, None]) -> AsyncGenerator[bytes, None]:
    yield b": connected\n\n"
    async with contextlib.aclosing(lines):
        try:
            async for line in lines:
                yield ALIVE if line is None else b"id: %s\ndata: %s\n\n" % (str(Mark.of(line)).encode(), dumps(_shown(line)))
        except EnopaxError as error:  # the status has been sent: it is told as an event
            yield b"event: problem\ndata: %s\n\n" % bytes(problem(error).body)


def _shown(line: LogLine) -> dict[str, Any]:
    return {"time": rfc3339(line.time), "level": line.level, "message": line.message}


def _mark(text: str | None) -> Mark | None:
    if text is None:
        return None
    try:
        return Mark.parse(text)
    except ValueError as error:
        message = "Last-Event-ID must be the id of a line of this log."
        raise Malformed(message, faults=[Fault("last_event_id", "This must be the id of a line.")]) from error
