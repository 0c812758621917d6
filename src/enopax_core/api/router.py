"""Binds the routes to Starlette: one entry for each path, which authenticates, answers 405 and OPTIONS itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from enopax_core.api.call import Call, presented_by
from enopax_core.api.limits import RateLimit
from enopax_core.api.problems import HttpError, problem
from enopax_core.api.routes import ApiRoute
from enopax_core.core.core import Core
from enopax_core.errors import EnopaxError, Forbidden, NotFound
from enopax_core.records.principal import INSTALLATION, Principal

PREVIEWED = {("POST", "/v1/{endpoint}"), ("PUT", "/v1/{endpoint}/{id}"), ("PATCH", "/v1/{endpoint}/{id}")}


class PathEndpoint:
    """All methods of one path, as an ASGI application."""

    def __init__(self, core: Core, path: str, methods: Mapping[str, ApiRoute], limit: RateLimit) -> None:
        self._core, self._path, self._methods, self._limit = core, path, methods, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["enopax_route"] = self._path
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except EnopaxError as error:
            response = problem(error)
        if request.method == "HEAD":
            response = Response(status_code=response.status_code, headers=dict(response.headers))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        allowed = self._allowed(request)
        if allowed and request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": ", ".join(allowed)})
        if allowed and request.method not in allowed:
            raise HttpError(405, f"{request.method} is not possible here.", {"Allow": ", ".join(allowed)})
        principal = await self._principal(request)
        self._limit.take(principal.credential or principal.id, request.client.host if request.client else "")
        if not allowed:  # whatever the method, there is no such path below the resource
            raise NotFound
        route = self._methods["GET" if request.method == "HEAD" else request.method]
        if principal.kind == "token" and not route.tokens:
            raise Forbidden("A resource token opens custom endpoints and event streams alone.")
        if request.query_params.get("dry_run") not in (None, "false") and not _has_preview(route):
            raise HttpError(400, "dry_run is possible on POST, PUT and PATCH of resources only.")
        return await route.handler(Call(core=self._core, request=request, principal=principal))

    def _allowed(self, request: Request) -> list[str]:
        methods = list(self._methods)
        custom = request.path_params.get("custom")
        if custom is not None:
            methods = self._core.endpoints.methods(request.path_params["endpoint"], custom)
        return [*methods, *(["HEAD"] if "GET" in methods else []), *(["OPTIONS"] if methods else [])]

    async def _principal(self, request: Request) -> Principal:
        if not self._core.settings.auth:
            return INSTALLATION
        return await self._core.authenticate(presented_by(request))


def bind_routes(core: Core, routes: Sequence[ApiRoute], limit: RateLimit) -> list[BaseRoute]:
    """Starlette's routes, in the order of the declarations."""
    paths: dict[str, dict[str, ApiRoute]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method] = route
    return [Route(path, PathEndpoint(core, re.sub(r":path\}", "}", path), methods, limit)) for path, methods in paths.items()]


def _has_preview(route: ApiRoute) -> bool:
    return (route.method, route.path) in PREVIEWED
