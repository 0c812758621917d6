"""Every endpoint is documented with its permission, its statuses, and an exchange that is true."""

from __future__ import annotations

import re

import pytest
from tests.acceptance.exchanges import Reader, exchange, exchanges
from tests.acceptance.serverkit import Server
from tests.unit.pages import DOCS, compare

from enopax_core import Core, Settings
from enopax_core.api.openapi import ERRORS, describe
from enopax_core.api.public import public_routes
from enopax_core.api.routes import api_routes

PAGE = (DOCS / "reference/endpoints.md").read_text("utf-8")
CHANGES = {"402", "409", "413", "415", "422"}  # what any request that changes something may be answered with
HEADING = re.compile(r"^### `([A-Z]+) (/[^`]*)`$", re.MULTILINE)


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Core:
    """A core with every installed plugin, never opened."""
    return Core(Settings(data_dir=tmp_path_factory.mktemp("docs")))


def sections() -> dict[tuple[str, str], str]:
    """What the page says of each endpoint."""
    parts = HEADING.split(PAGE)
    return {(method, path): part for method, path, part in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)}


def test_every_endpoint_is_documented_with_its_permission(core: Core) -> None:
    routes = list(api_routes(core))
    public = {("GET", str(getattr(route, "path", "")), "") for route in public_routes(core, routes)}
    offered = {(route.method, route.path, route.permission) for route in routes if "{custom" not in route.path} | public
    documented = set()
    for (method, path), part in sections().items():
        permission = re.search(r"^Permission: `(.*?)`", part, re.MULTILINE)
        documented.add((method, path, permission[1] if permission else ""))
    compare(documented, offered)


def test_every_endpoint_is_documented_with_its_statuses(core: Core) -> None:
    described = describe(core, list(api_routes(core)))["paths"]
    for (method, path), part in sections().items():
        candidates = [path, *(path.replace("{endpoint}", known.endpoint) for known in core.registry.providers)]
        operation = next((described[one][method.lower()] for one in candidates if method.lower() in described.get(one, {})), None)
        answers = re.search(r"^Answers: (.*)$", part, re.MULTILINE)
        assert answers is not None, f"{method} {path}"
        if operation is not None:
            usual = set(ERRORS) | (CHANGES if method != "GET" else set())
            documented = re.findall(r"`([0-9]{3})`", answers[1])
            assert set(documented) - usual == set(operation["responses"]) - usual, f"{method} {path}"


def test_an_exchange_is_shown_for_every_endpoint() -> None:
    missing = [name for name, part in sections().items() if not exchanges(part)]
    assert missing == []


def test_every_exchange_is_true(server: Server) -> None:
    reader = Reader(server.api)
    for shown in exchanges(PAGE):
        _, found = exchange(reader, shown)
        assert found == [], shown.request + "\n" + "\n".join(found)
