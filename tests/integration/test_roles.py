"""Who may do what: every declared route and custom endpoint, with every kind of credential.

The cases are made from the declarations (`api/routes.py`, the providers' custom endpoints): a new route is tested by
being declared.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.conftest import ORGANISATION, PLACE, PROJECT, WHERE, House, opened
from tests.integration.shelf import Shelf, Workshop

from enopax_core import Core, Settings
from enopax_core.api.routes import api_routes
from enopax_core.builtin.roles import ROLES, permissions_of

pytestmark = pytest.mark.anyio
CUSTOM = "/v1/{endpoint}/{id}/{custom:path}"


@dataclass(frozen=True)
class Declared:
    """One method of one path, and what it asks for."""

    method: str
    path: str
    permission: str
    tokens: bool
    installation: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def declarations() -> list[Declared]:
    """Every route of the core and every custom endpoint of the shelf."""
    core = Core(Settings(data_dir=Path("never-opened")), plugins=())
    routes = [Declared(r.method, r.path, r.permission, r.tokens, r.installation) for r in api_routes(core) if r.path != CUSTOM]
    custom = [Declared(e.method, "/v1/{endpoint}/{id}" + e.path, e.permission, True) for e in Shelf(Workshop()).endpoints()]
    return [*routes, *custom]


DECLARED = declarations()


@pytest.fixture
async def settled(data_dir: Path) -> AsyncIterator[House]:
    """A house whose failed attempts nobody counts: every case here is refused on purpose."""
    async with opened(data_dir) as house:
        yield house


async def ask(house: House, client: httpx.AsyncClient, route: Declared) -> httpx.Response:
    """A request to a route about things made for it alone, right in everything but perhaps the credential."""
    made = await house.make("thing")
    key = (await house.owner.post("/v1/keys", json={"name": "k", "role": "member", "organisation": ORGANISATION})).json()
    ids = {"/v1/operations": made["operation"], "/v1/keys": key["id"]}
    id = next((found for prefix, found in ids.items() if route.path.startswith(prefix)), made["id"])
    if route.path.endswith("/restore"):
        await house.owner.delete(f"/v1/shelf/{made['id']}")
    path = route.path.replace("{endpoint}", "shelf").replace("{id}", id).replace("{book}", "dune")
    bodies: dict[str, Any] = {
        "/v1/{endpoint}": {"name": "another", **PLACE},
        "/v1/{endpoint}/{id}": {"boards": 5},
        "/v1/keys": {"name": "new", "role": "member", "organisation": ORGANISATION},
        "/v1/{endpoint}/{id}/books": {"title": "Dune"},
        "/v1/{endpoint}/{id}/books/{book}/repair": {"title": "Dune"},
    }
    body = bodies.get(route.path) if route.method in ("POST", "PUT", "PATCH") else None
    follows = {"Last-Event-ID": str(10**17)} if route.path.endswith("/{id}/events") else {}
    if route.path == "/v1/events":  # it never ends by itself: a refusal is what can be told
        house.core.feed.close()
    return await client.request(route.method, path, params=WHERE, json=body, headers=follows)


def refused(answer: httpx.Response) -> bool:
    """Whether the credential was the reason."""
    return answer.status_code in (401, 403, 404)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("route", DECLARED, ids=str)
async def test_a_role_may_do_what_it_holds_and_nothing_else(settled: House, route: Declared, role: str) -> None:
    client = await settled.key(role)
    answer = await ask(settled, client, route)
    if route.permission in permissions_of(role, {}) and not route.installation:
        assert not refused(answer), answer.text
    else:
        assert answer.status_code == 403, answer.text


@pytest.mark.parametrize("route", DECLARED, ids=str)
async def test_without_a_key_nothing_is_told(settled: House, route: Declared) -> None:
    answer = await ask(settled, settled.client(None), route)
    assert (answer.status_code, "www-authenticate" in answer.headers) == (401, True)


@pytest.mark.parametrize("route", [route for route in DECLARED if route.path != "/v1/keys"], ids=str)
async def test_the_owner_of_another_organisation_sees_nothing(settled: House, route: Declared) -> None:
    stranger = await settled.key("owner", "Elsewhere")
    answer = await ask(settled, stranger, route)
    assert answer.status_code == (404 if "{id}" in route.path else 403), answer.text


@pytest.mark.parametrize("route", DECLARED, ids=str)
async def test_a_key_of_another_project_sees_nothing_of_this_one(settled: House, route: Declared) -> None:
    neighbour = await settled.key("owner", project="Another")
    answer = await ask(settled, neighbour, route)
    if route.path == "/v1/keys" and route.method == "GET":
        assert {key.get("project") for key in answer.json()["keys"]} == {"Another"}
    else:
        assert refused(answer), answer.text


@pytest.mark.parametrize("route", [route for route in DECLARED if route.permission != "read"], ids=str)
async def test_narrower_permissions_than_the_role_s_hold(settled: House, route: Declared) -> None:
    reader = await settled.key("owner", permissions=["read"])
    assert (await ask(settled, reader, route)).status_code == 403


@pytest.mark.parametrize("route", DECLARED, ids=str)
async def test_a_resource_token_opens_that_resource_s_endpoints_and_streams_alone(settled: House, route: Declared) -> None:
    other = await settled.make("other", projectName=PROJECT)
    token = (await settled.owner.post(f"/v1/shelf/{other['id']}/tokens")).json()["token"]
    foreign = await ask(settled, settled.client(token), route)
    assert refused(foreign), foreign.text
    if not route.tokens:
        assert foreign.status_code == 403
