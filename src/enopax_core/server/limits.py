"""What the server asks of every request, whatever the application: a body that keeps coming, and an answer at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from enopax_core.server.problem import MEDIA_TYPE, problem_body

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class Requests:
    """The outermost ASGI layer of the server.

    A body of which nothing comes for `silence` seconds while the application waits for it ends: the application hears
    that the client has gone, the client gets 408 unless the answer had begun. Only the application's own waiting counts,
    so streams may take as long as they move; how long a body that is no stream may take is the application's rule.

    A request that is cut off by a stop of the server is answered with 503 unless its answer had begun.
    """

    def __init__(self, app: AsgiApp, *, silence: float) -> None:
        self._app, self._silence = app, silence

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        more, silent, started = True, False, False

        async def patient() -> Message:
            nonlocal more, silent
            if silent:
                return {"type": "http.disconnect"}
            if not more:  # what is awaited now is the end of the connection
                return await receive()
            try:
                async with asyncio.timeout(self._silence):
                    message = await receive()
            except TimeoutError:
                silent = True
                return {"type": "http.disconnect"}
            more = message["type"] == "http.request" and message.get("more_body", False)
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            if silent and not started:
                return  # what an application says to a client that has gone
            started = True
            await send(message)

        try:
            await self._app(scope, patient, watched)
        except asyncio.CancelledError:
            if started:
                raise
            await _answer(send, 503, "The server stops; the request was not carried out to its end.")
            return
        except Exception:
            if not silent or started:
                raise
        if silent and not started:
            await _answer(send, 408, f"Nothing of the body came for {self._silence:g} s.")


async def _answer(send: Send, status: int, message: str) -> None:
    body = problem_body(status, message)
    headers = [
        (b"content-type", MEDIA_TYPE),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
        *([(b"retry-after", b"1")] if status == 503 else []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
