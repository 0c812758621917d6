"""Operations over HTTP."""

from __future__ import annotations

from starlette.responses import Response

from enopax_core.api import views
from enopax_core.api.call import Call, page_token
from enopax_core.api.idempotency import Once
from enopax_core.api.wire import answer, present
from enopax_core.core.operations import SeenOperation
from enopax_core.ledger.idempotency import BoundRequest


class OperationHandlers:
    """Handlers of `/v1/operations` and below."""

    def __init__(self, once: Once) -> None:
        self._once = once

    async def page(self, call: Call) -> Response:
        """GET /v1/operations"""
        organisation, project = call.required("org", "project")
        after, size = call.paging()
        page = await call.core.operations.page(call.principal, organisation, project, after=after, size=size)
        token = None if page.next is None else page_token(page.next)
        return answer(present(operations=[views.operation(seen) for seen in page.items], nextPageToken=token))

    async def get(self, call: Call) -> Response:
        """GET /v1/operations/{id}"""
        seen = await call.core.operations.find(call.principal, call.id)
        result = await call.core.operations.result(call.principal, seen)
        if result is None:
            return answer(views.operation(seen))
        return answer({**views.operation(seen), "result": result}, headers={"Cache-Control": "no-store"})

    async def cancel(self, call: Call) -> Response:
        """POST /v1/operations/{id}/cancel"""
        body = await call.json()

        async def make(bound: BoundRequest | None) -> Response:
            return _answered(call, await call.core.operations.cancel(call.principal, call.id, bound))

        async def anew(call: Call, operation: str) -> Response:
            return _answered(call, await call.core.operations.find(call.principal, operation))

        return await self._once(call, body, make, anew)

    async def retry(self, call: Call) -> Response:
        """POST /v1/operations/{id}/retry"""
        body = await call.json()

        async def make(bound: BoundRequest | None) -> Response:
            return _accepted(call, await call.core.operations.retry(call.principal, call.id, bound))

        async def anew(call: Call, operation: str) -> Response:
            return _accepted(call, await call.core.operations.find(call.principal, operation))

        return await self._once(call, body, make, anew)


def _answered(call: Call, seen: SeenOperation) -> Response:
    return answer(views.operation(seen)) if seen.record.state.ended else _accepted(call, seen)


def _accepted(call: Call, seen: SeenOperation) -> Response:
    return answer(views.operation(seen), 202, {"Location": call.url(f"/v1/operations/{seen.record.id}")})
