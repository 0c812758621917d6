"""Sends a provider's file as it comes into being."""

from __future__ import annotations

import logging
from urllib.parse import quote

import anyio
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from enopax_core.errors import EnopaxError, ProviderFault
from enopax_core.provider.transfers import Download

FILE = "application/octet-stream"  # whatever it holds: to be saved, never shown in the server's name
STALLED_SECONDS = 60.0  # a client that takes nothing for so long keeps whatever writes the file waiting
log = logging.getLogger(__name__)


class DownloadResponse(Response):
    """Holds one piece at a time. Broken off, the answer lacks its end, so that nobody takes it for whole."""

    def __init__(self, download: Download) -> None:
        name = quote(download.filename, safe="")
        headers = {"Cache-Control": "no-store", "Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        super().__init__(headers=headers, media_type=FILE)
        del self.headers["content-length"]
        self._download = download

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun, whole, failure = False, False, None

        async def forward(message: Message) -> None:
            """Send, or give up: the client has gone (a server may say so by an OSError) or takes nothing."""
            try:
                with anyio.fail_after(STALLED_SECONDS):
                    await send(message)
            except OSError:  # TimeoutError is one
                group.cancel_scope.cancel()
                await anyio.sleep_forever()

        async def sink(piece: bytes) -> None:
            nonlocal begun
            if not begun:
                begun = True
                await forward({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await forward({"type": "http.response.body", "body": piece, "more_body": True})

        async with anyio.create_task_group() as group:
            group.start_soon(_until_gone, receive, group.cancel_scope)
            try:
                await self._download.write(sink)
                whole = True
            except EnopaxError as error:
                failure = error
            except Exception as error:  # what it says may hold a secret, so it goes to the log alone
                log.exception("A download failed.")
                failure = ProviderFault(f"The provider failed unexpectedly ({type(error).__name__}).")
            group.cancel_scope.cancel()
        if whole:
            if not begun:
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        elif failure is not None and not begun:
            raise failure
        elif failure is not None:
            log.warning("A download broke off: %s", failure.message)


async def _until_gone(receive: Receive, work: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    work.cancel()
