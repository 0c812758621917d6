"""Routes that plugins add: access, permission and body limit are kept here, before the plugin sees a request."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from enopax_core import hooks
from enopax_core.api.call import presented_by, read_body
from enopax_core.api.limits import RateLimit
from enopax_core.api.problems import HttpError
from enopax_core.core.core import Core
from enopax_core.errors import Forbidden, PluginRefused
from enopax_core.records.place import Target
from enopax_core.records.principal import INSTALLATION

CORE = re.compile(r"^/(v1|providers|healthz|readyz|openapi\.json|docs|metrics)(/|$)")


class PluginEndpoint:
    """One route of a plugin, as an ASGI application."""

    def __init__(self, core: Core, route: hooks.Route, limit: RateLimit) -> None:
        self._core, self._route, self._limit = core, route, limit
        self._allowed = sorted({*route.methods, "OPTIONS", *(["HEAD"] if "GET" in route.methods else [])})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._route
        scope["enopax_route"] = route.path
        request = Request(scope, receive)
        if request.method not in self._allowed:
            raise HttpError(405, f"{request.method} is not possible here.", {"Allow": ", ".join(self._allowed)})
        if request.method == "OPTIONS" and "OPTIONS" not in route.methods:
            await Response(status_code=204, headers={"Allow": ", ".join(self._allowed)})(scope, receive, send)
            return
        if route.access == "principal":
            principal = await self._core.authenticate(presented_by(request)) if self._core.settings.auth else INSTALLATION
            self._limit.take(principal.credential or principal.id, request.client.host if request.client else "")
            await self._core.governors.require(principal, route.permission or "read", Target())
            scope.setdefault("state", {})["principal"] = principal
        if route.body_limit is not None:
            body = await read_body(request, route.body_limit)
            if route.access == "webhook" and not (route.verify and route.verify(request.headers, body)):
                raise Forbidden("The signature does not fit.")
            receive = _again(body, receive)
        await route.app(scope, receive, send)


def plugin_routes(core: Core, limit: RateLimit) -> list[BaseRoute]:
    """Starlette's routes of all plugins. Raises PluginRefused where one shadows a path of the core, or another's."""
    bound: list[BaseRoute] = []
    taken: set[str] = set()
    for route in core.governors.routes():
        if CORE.match(route.path):
            raise PluginRefused(f"The route {route.path} shadows a path of the core.")
        if route.path in taken:
            raise PluginRefused(f"Two plugins announce the route {route.path}.")
        taken.add(route.path)
        if route.access == "webhook" and route.verify is None:
            raise PluginRefused(f"The webhook {route.path} verifies nothing.")
        bound.append(Route(route.path, PluginEndpoint(core, route, limit)))
    return bound


def _again(body: bytes, receive: Receive) -> Receive:
    """A body that was read already, for who reads it next."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
