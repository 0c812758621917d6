"""What every request passes: ids, the log line and metric of its answer, errors as problems."""

from __future__ import annotations

import logging
import re
import secrets
import time
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from enopax_core.api.problems import problem, problem_response
from enopax_core.errors import EnopaxError
from enopax_core.telemetry import Metrics, bind

log = logging.getLogger("enopax.access")
SHOWN = "/:@!$&'()*+,;=~"  # what RFC 3986 allows in a path as it is
REQUEST_ID = re.compile(r"^[\w.:-]{1,64}$")


class Front:
    """The outermost ASGI layer of the application."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if REQUEST_ID.match(given) else secrets.token_hex(8)
        started, status = time.perf_counter(), 0

        async def stamped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        with bind(request=request_id):
            try:
                await self._app(scope, receive, stamped)
            except EnopaxError as error:
                if status:
                    raise
                response = problem(error)
                if response.status_code >= 500:
                    log.warning("refused: %s", error.message)
                await response(scope, receive, stamped)
            except Exception:
                if status:
                    raise
                log.exception("A request failed.")
                await problem_response(500, "Something went wrong on the server; its log says what.")(scope, receive, stamped)
            finally:
                seconds = time.perf_counter() - started
                route = scope.get("enopax_route", "other")
                self._metrics.request(route, scope["method"], status, seconds)
                log.info(  # the path without its query: a token may stand there; quoted: it may hold what terminals obey
                    "%s %s %s",
                    scope["method"],
                    quote(scope["path"], safe=SHOWN, errors="replace"),
                    status,
                    extra={"milliseconds": round(seconds * 1000, 2)},
                )
