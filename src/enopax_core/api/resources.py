"""Resources over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from enopax_core.api import views
from enopax_core.api.answers import answer_to, deleted_message
from enopax_core.api.call import Call, page_token
from enopax_core.api.downloads import DownloadResponse
from enopax_core.api.idempotency import Once
from enopax_core.api.uploads import pieces
from enopax_core.api.wire import answer, present
from enopax_core.clock import rfc3339
from enopax_core.core.acceptance import Accepted, Conditions, etag
from enopax_core.errors import Fault, Invalid
from enopax_core.ledger.idempotency import BoundRequest
from enopax_core.provider.transfers import Download, Upload


class ResourceHandlers:
    """Handlers of `/v1/{endpoint}` and below."""

    def __init__(self, once: Once) -> None:
        self._once = once

    async def provision(self, call: Call) -> Response:
        """POST /v1/{endpoint}"""
        dry_run = call.flag("dry_run")
        body = await _object(call)
        if dry_run:
            config, actions, price = await call.core.previews.provision(call.principal, call.endpoint, body)
            preview = present(config=dict(config), actions=list(actions), price=price.model_dump() if price else None)
            return answer({"preview": preview})

        async def make(bound: BoundRequest | None) -> Response:
            conditions = Conditions(bound=bound)
            return await _answered(call, await call.core.resources.provision(call.principal, call.endpoint, body, conditions))

        return await self._once(call, body, make)

    async def page(self, call: Call) -> Response:
        """GET /v1/{endpoint}"""
        call.core.registry.provider(call.endpoint)
        organisation, project = call.required("org", "project")
        after, size = call.paging()
        page = await call.core.resources.page(
            call.principal, call.endpoint, organisation, project, after=after, size=size, status=call.status()
        )
        shown = [views.summary(seen.record, seen.place) for seen in page.items]
        return answer(present(resources=shown, nextPageToken=_next(page.next)))

    async def get(self, call: Call) -> Response:
        """GET /v1/{endpoint}/{id}"""
        seen = await call.core.resources.find(call.principal, call.endpoint, call.id)
        tag = etag(seen.record)
        known = [t.strip().removeprefix("W/") for t in ",".join(call.request.headers.getlist("if-none-match")).split(",")]
        if tag in known or "*" in known:
            return Response(status_code=304, headers={"ETag": tag})
        return answer(views.resource(call.core, seen), headers={"ETag": tag})

    async def update(self, call: Call) -> Response:
        """PUT, PATCH /v1/{endpoint}/{id}"""
        dry_run = call.flag("dry_run")
        body = await _object(call)
        if dry_run:
            changes = await call.core.previews.update(call.principal, call.endpoint, call.id, body)
            return answer({"changes": [dict(change) for change in changes]})

        async def make(bound: BoundRequest | None) -> Response:
            conditions = Conditions(bound=bound, etags=call.etags())
            return await _answered(
                call, await call.core.resources.update(call.principal, call.endpoint, call.id, body, conditions)
            )

        return await self._once(call, body, make)

    async def delete(self, call: Call) -> Response:
        """DELETE /v1/{endpoint}/{id}"""
        purge = call.flag("purge")
        body = await call.json()

        async def make(bound: BoundRequest | None) -> Response:
            conditions = Conditions(bound=bound, etags=call.etags())
            return await _answered(
                call,
                await call.core.resources.delete(call.principal, call.endpoint, call.id, purge=purge, conditions=conditions),
            )

        return await self._once(call, body, make)

    async def restore(self, call: Call) -> Response:
        """POST /v1/{endpoint}/{id}/restore"""
        body = await call.json()

        async def make(bound: BoundRequest | None) -> Response:
            conditions = Conditions(bound=bound)
            return await _answered(call, await call.core.resources.restore(call.principal, call.endpoint, call.id, conditions))

        return await self._once(call, body, make)

    async def metrics(self, call: Call) -> Response:
        """GET /v1/{endpoint}/{id}/metrics"""
        found = await call.core.resources.metrics(call.principal, call.endpoint, call.id)
        shown = {name: metric.model_dump() for name, metric in found.items()}
        return answer({"id": call.id, "metrics": shown, "collectedAt": rfc3339(call.core.clock())})

    async def operations(self, call: Call) -> Response:
        """GET /v1/{endpoint}/{id}/operations"""
        after, size = call.paging()
        page = await call.core.operations.page_of_resource(call.principal, call.endpoint, call.id, after=after, size=size)
        return answer(present(operations=[views.operation(seen) for seen in page.items], nextPageToken=_next(page.next)))

    # ── Credentials ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def credentials(self, call: Call) -> Response:
        """GET /v1/{endpoint}/{id}/credentials"""
        found = await call.core.credentials.read(call.principal, call.endpoint, call.id)
        return answer({"id": call.id, "credentials": dict(found)}, headers={"Cache-Control": "no-store"})

    async def rotate(self, call: Call) -> Response:
        """POST /v1/{endpoint}/{id}/credentials/rotate"""
        body = await call.json()

        async def make(bound: BoundRequest | None) -> Response:
            conditions = Conditions(bound=bound)
            return await _answered(call, await call.core.credentials.rotate(call.principal, call.endpoint, call.id, conditions))

        return await self._once(call, body, make)

    async def token(self, call: Call) -> Response:
        """POST /v1/{endpoint}/{id}/tokens"""
        body = await call.json()

        async def make(_: BoundRequest | None) -> Response:
            token, expires_at = await call.core.credentials.make_token(call.principal, call.endpoint, call.id)
            return answer({"token": token, "expiresAt": rfc3339(expires_at)}, 201, {"Cache-Control": "no-store"})

        return await self._once(call, body, make)

    # ── Custom endpoints ──────────────────────────────────────────────────────────────────────────────────────────────

    async def custom(self, call: Call) -> Response:
        """ANY /v1/{endpoint}/{id}/{custom}"""
        endpoints = call.core.endpoints
        match = endpoints.match(call.endpoint, call.method, str(call.request.path_params["custom"]))
        seen = await endpoints.find(call.principal, match, call.id)
        limit, body, upload = match.endpoint.body_limit, None, None
        if match.endpoint.uploads:
            upload = Upload(pieces=pieces(call.request, limit))
        else:
            body = await call.json(limit)
            endpoints.check(match, body)
        if call.method == "GET":
            return _plain(await endpoints.call(call.principal, match, seen, body))

        async def make(bound: BoundRequest | None) -> Response:
            conditions = Conditions(bound=bound, etags=call.etags())
            if not match.endpoint.durable:
                return _plain(await endpoints.call(call.principal, match, seen, body, conditions, upload))
            return await _answered(call, await endpoints.accept(call.principal, match, seen, body, conditions))

        return await self._once(call, body, make)


async def _object(call: Call) -> Mapping[str, Any]:
    body = await call.json()
    if not isinstance(body, dict):
        raise Invalid(faults=[Fault("", "The body must be a JSON object.")])
    return body


async def _answered(call: Call, accepted: Accepted) -> Response:
    if accepted.operation is None:  # a repeated DELETE: nothing was left to do
        return answer({"id": accepted.resource.id, "message": deleted_message(call, accepted.resource)})
    return await answer_to(call, accepted.operation.id)


def _plain(result: Any) -> Response:
    if isinstance(result, Download):
        return DownloadResponse(result)
    return answer(result if isinstance(result, dict) else {} if result is None else {"result": result})


def _next(position: int | None) -> str | None:
    return None if position is None else page_token(position)
