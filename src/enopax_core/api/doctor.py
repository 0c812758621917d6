"""The examination over HTTP."""

from __future__ import annotations

from starlette.responses import Response

from enopax_core.api.call import Call
from enopax_core.api.wire import answer


async def examine(call: Call) -> Response:
    """GET /v1/admin/doctor"""
    return await _examined(call, fix=False)


async def mend(call: Call) -> Response:
    """POST /v1/admin/doctor: the same, and mends what is safe."""
    return await _examined(call, fix=True)


async def _examined(call: Call, *, fix: bool) -> Response:
    return answer({"findings": [one.to_json() for one in await call.core.examination(call.principal, fix=fix)]})
