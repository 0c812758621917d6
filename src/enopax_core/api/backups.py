"""Backups over HTTP: the archive is streamed while it is made."""

from __future__ import annotations

import contextlib

import anyio
from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from enopax_core.api.call import Call
from enopax_core.core.backups import Backup, Backups

TAR = "application/x-tar"
STALLED_SECONDS = 60.0  # a client that takes nothing for so long keeps the copies and the next backup waiting


async def backup(call: Call) -> Response:
    """POST /v1/admin/backup"""
    stack = contextlib.AsyncExitStack()
    made = await stack.enter_async_context(call.core.backups.make(call.principal))
    return BackupResponse(call.core.backups, made, stack)


class BackupResponse(Response):
    """Sends a backup, then takes its copies away. Whoever leaves early has an archive that lacks its end."""

    media_type = TAR

    def __init__(self, backups: Backups, backup: Backup, stack: contextlib.AsyncExitStack) -> None:
        name = f"enopax-{backup.header.created_at[:19].replace(':', '').replace('-', '')}Z.tar"
        headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{name}"'}
        super().__init__(headers=headers)
        del self.headers["content-length"]
        self._backups, self._backup, self._stack = backups, backup, stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        async with self._stack:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for piece in iterate_in_threadpool(self._backup.packed()):
                if await request.is_disconnected():
                    return
                with anyio.move_on_after(STALLED_SECONDS) as patience:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                if patience.cancelled_caught:
                    return
            await self._backups.handed_out(self._backup)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
