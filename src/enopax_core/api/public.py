"""What needs no key: discovery, health, the description of the API, Prometheus metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from enopax_core.api import views
from enopax_core.api.call import presented_by
from enopax_core.api.limits import is_loopback
from enopax_core.api.openapi import describe
from enopax_core.api.problems import HttpError
from enopax_core.api.routes import ApiRoute
from enopax_core.api.wire import answer, dumps
from enopax_core.core.core import Core
from enopax_core.records.place import Target

DOCS = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Enopax API</title></head>
<body><h1>Enopax API</h1>
<p>The description of this server's API is <a href="openapi.json">openapi.json</a> (OpenAPI 3.1); any OpenAPI tool reads it.</p>
<table><thead><tr><th>Method</th><th>Path</th><th>What it does</th></tr></thead><tbody>
{rows}
</tbody></table></body></html>
"""


class PublicHandlers:
    """Handlers that ask for no key."""

    def __init__(self, core: Core, routes: list[ApiRoute]) -> None:
        self._core, self._routes = core, routes
        self._descriptions: dict[str, bytes] = {}  # by where the application is mounted

    async def providers(self, _: Request) -> Response:
        """GET /providers/info"""
        shown = [views.provider(self._core, known) for known in self._core.registry.providers]
        return Response(dumps({"providers": shown}), media_type="application/json")

    async def healthz(self, _: Request) -> Response:
        """GET /healthz: the process answers."""
        return answer({"status": "ok"})

    async def readyz(self, _: Request) -> Response:
        """GET /readyz: whether it takes requests; plugins that could not be used are named."""
        problems = [{"plugin": p.plugin, "message": "could not be used; see the log"} for p in self._core.registry.problems]
        if self._core.ready:
            return answer({"status": "ready", "plugins": problems})
        body = {"success": False, "status": "closing" if self._core.is_open else "not open", "plugins": problems}
        return answer(body, 503, {"Retry-After": "1"})

    async def openapi(self, request: Request) -> Response:
        """GET /openapi.json"""
        root_path = str(request.scope.get("root_path", "")).rstrip("/")
        if root_path not in self._descriptions:
            self._descriptions[root_path] = dumps(describe(self._core, self._routes, root_path))
        return Response(self._descriptions[root_path], media_type="application/json")

    async def docs(self, request: Request) -> Response:
        """GET /docs"""
        rows = "\n".join(
            f"<tr><td>{r.method}</td><td><code>{r.path.replace(':path', '')}</code></td><td>{r.summary}</td></tr>"
            for r in self._routes
        )
        return Response(DOCS.format(rows=rows), media_type="text/html")

    async def metrics(self, request: Request) -> Response:
        """GET /metrics: without a key on loopback only, with one that holds `audit` on the installation elsewhere."""
        address = request.client.host if request.client else ""
        if self._core.settings.auth and not is_loopback(address):
            principal = await self._core.authenticate(presented_by(request))
            await self._core.governors.require(principal, "audit", Target())
        return Response(self._core.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


def public_routes(core: Core, routes: list[ApiRoute]) -> list[BaseRoute]:
    """Starlette's routes of all that."""
    handlers = PublicHandlers(core, routes)
    return [
        Route(path, OneMethod(path, handler))
        for path, handler in (
            ("/providers/info", handlers.providers),
            ("/healthz", handlers.healthz),
            ("/readyz", handlers.readyz),
            ("/openapi.json", handlers.openapi),
            ("/docs", handlers.docs),
            ("/metrics", handlers.metrics),
        )
    ]


class OneMethod:
    """A path that answers GET, HEAD and OPTIONS."""

    def __init__(self, path: str, handler: Callable[[Request], Awaitable[Response]]) -> None:
        self._path, self._handler = path, handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["enopax_route"] = self._path
        request = Request(scope, receive)
        if request.method == "OPTIONS":
            response = Response(status_code=204, headers={"Allow": "GET, HEAD, OPTIONS"})
        elif request.method not in ("GET", "HEAD"):
            raise HttpError(405, f"{request.method} is not possible here.", {"Allow": "GET, HEAD, OPTIONS"})
        else:
            response = await self._handler(request)
        if request.method == "HEAD":
            response = Response(status_code=response.status_code, headers=dict(response.headers))
        await response(scope, receive, send)
