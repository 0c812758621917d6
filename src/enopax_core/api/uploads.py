"""Takes a file that a client sends, piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
from starlette.requests import ClientDisconnect, Request

from enopax_core.api.problems import HttpError

SILENT_SECONDS = 60.0  # whoever takes the file waits with its client
CLOSE = {"Connection": "close"}


async def pieces(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body, never held as a whole. Raises HttpError: 413 past the limit, 408 in silence, 400 when the client goes away."""
    taken, stream = 0, aiter(request.stream())
    while True:
        try:
            with anyio.fail_after(SILENT_SECONDS):
                piece = await anext(stream, None)
        except TimeoutError as error:
            raise HttpError(408, f"Nothing came for {SILENT_SECONDS:.0f} s.", CLOSE) from error
        except ClientDisconnect as error:
            raise HttpError(400, "The request ended early.", CLOSE) from error
        if piece is None:
            return
        taken += len(piece)
        if taken > limit:
            raise HttpError(413, f"A body may have {limit} bytes.", CLOSE)
        if piece:
            yield piece
