"""create_app: the only place where all parts meet."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from enopax_core.api.front import Front
from enopax_core.api.limits import RateLimit
from enopax_core.api.plugins import plugin_routes
from enopax_core.api.problems import problem, problem_response
from enopax_core.api.public import public_routes
from enopax_core.api.router import bind_routes
from enopax_core.api.routes import api_routes
from enopax_core.core.core import Core
from enopax_core.errors import EnopaxError
from enopax_core.settings import Settings


def create_app(core: Core | Settings, plugins: Sequence[object] | None = None) -> Starlette:
    """The ASGI application.

    Given settings, it opens a core of its own in the ASGI lifespan. Given a core, whoever embeds it opens it: a mounted
    application gets no lifespan. Raises PluginRefused for what was given in `plugins`, or a route that shadows the core's.
    """
    own = isinstance(core, Settings)
    core = Core(core, plugins) if isinstance(core, Settings) else core
    opened = core

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with opened if own else contextlib.nullcontext():
            yield

    routes = list(api_routes(core))
    settings = core.settings
    limit = RateLimit(settings.rate_limit_per_second, settings.rate_limit_burst, loopback=settings.rate_limit_loopback)
    middleware = [Middleware(Front, metrics=core.metrics)]
    if settings.allowed_origins:
        cors = Middleware(CORSMiddleware, allow_origins=settings.allowed_origins, allow_methods=["*"], allow_headers=["*"])
        middleware.append(cors)
    app = Starlette(
        # plugins come last: one that serves every path gets what is left over
        routes=[*public_routes(core, routes), *bind_routes(core, routes, limit), *plugin_routes(core, limit)],
        middleware=middleware,
        lifespan=lifespan,
        exception_handlers={404: _not_found, EnopaxError: _problem},
    )
    app.router.redirect_slashes = False
    app.state.core = core
    return app


async def _not_found(request: Request, error: Exception) -> Response:
    return problem_response(404, "There is nothing here.")


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, EnopaxError)  # noqa: S101  # registered for it alone
    return problem(error)
