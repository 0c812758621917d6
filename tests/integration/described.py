"""A transport that holds every answer against `/openapi.json`."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from starlette.applications import Starlette

from enopax_core.api.openapi import describe
from enopax_core.api.routes import api_routes
from enopax_core.core.core import Core

FORMATS = Draft202012Validator.FORMAT_CHECKER


class Description:
    """The description of a core's API, ready to be asked about answers."""

    def __init__(self, core: Core) -> None:
        self.document: dict[str, Any] = json.loads(json.dumps(describe(core, list(api_routes(core)))))
        paths = sorted(self.document["paths"], key=lambda path: path.count("{"))
        self._patterns = [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), path) for path in paths]
        self._validators: dict[tuple[str, str, str, str], Draft202012Validator] = {}
        self.seen: set[tuple[str, str, str]] = set()

    def path(self, path: str) -> str | None:
        """The template that describes a path."""
        return next((template for pattern, template in self._patterns if pattern.fullmatch(path)), None)

    def check(self, method: str, path: str, status: int, media: str, body: bytes) -> None:
        """Raises AssertionError for an answer that is not described."""
        assert status != 500, f"{method} {path}: {body.decode()}"
        if status >= 400:
            assert media == "application/problem+json" or path == "/readyz", f"{method} {path} {status}: {media}"
        template = self.path(path)
        operation = self.document["paths"].get(template, {}).get(method.lower())
        if operation is None or template is None:
            return
        described = operation["responses"].get(str(status))
        assert described is not None, f"{method} {template} answers {status}, which is not described: {body.decode()}"
        self.seen.add((method, template, str(status)))
        content = described.get("content")
        if not content:
            assert body == b"", f"{method} {template} {status} should have no body"
            return
        kind = media.partition(";")[0]
        assert kind in content, f"{method} {template} {status} answers {media}"
        if not kind.endswith("json"):
            return
        name = (method, template, str(status), kind)
        if name not in self._validators:
            schema = {**content[kind]["schema"], "components": self.document["components"]}
            self._validators[name] = Draft202012Validator(schema, format_checker=FORMATS)
        faults = [
            f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in self._validators[name].iter_errors(json.loads(body))
        ]
        assert not faults, f"{method} {template} {status}: {faults}"


class DescribedTransport(httpx.ASGITransport):
    """Hands every answer on once it was found in the description."""

    def __init__(self, app: Starlette, description: Description, address: str = "127.0.0.1") -> None:
        super().__init__(app, client=(address, 1))
        self._description = description

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx."""
        response = await super().handle_async_request(request)
        body = await response.aread()
        if request.method != "HEAD":
            media = response.headers.get("content-type", "")
            self._description.check(request.method, request.url.path, response.status_code, media, body)
        return response
