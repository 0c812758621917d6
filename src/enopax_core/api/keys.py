"""API keys over HTTP."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from starlette.responses import Response

from enopax_core.api import views
from enopax_core.api.call import Call, page_token
from enopax_core.api.idempotency import Once
from enopax_core.api.wire import answer, present
from enopax_core.core.keys import NewKey, SeenKey
from enopax_core.core.schemas import CONTROL
from enopax_core.errors import Fault, Invalid
from enopax_core.ledger.idempotency import BoundRequest
from enopax_core.provider.config import Checker, model_faults

Name = Annotated[str, Field(min_length=1, max_length=100)]


class KeyRequest(BaseModel):
    """Body of `POST /v1/keys`. Without organisation it is a key of the whole installation."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    name: Name = Field(description="What the key is for.")
    organisation: Name | None = Field(default=None, description="Display name; comes into being with its first key.")
    project: Name | None = None
    role: str = Field(description="member, manager, admin or owner.")
    permissions: list[str] | None = Field(default=None, max_length=100, description="Narrower than the role's.")
    expires_at: AwareDatetime | None = None


CHECKER = Checker(KeyRequest.model_json_schema(by_alias=True))


class KeyHandlers:
    """Handlers of `/v1/keys` and below."""

    def __init__(self, once: Once) -> None:
        self._once = once

    async def create(self, call: Call) -> Response:
        """POST /v1/keys"""
        body = await call.json()
        wanted = _wanted(body)

        async def make(bound: BoundRequest | None) -> Response:
            seal = partial(self._sealed, 201)
            return _shown(201, await call.core.keys.create(call.principal, wanted, bound, seal))

        return await self._once(call, body, make)

    async def page(self, call: Call) -> Response:
        """GET /v1/keys"""
        after, size = call.paging()
        page = await call.core.keys.page(call.principal, after=after, size=size)
        token = None if page.next is None else page_token(page.next)
        return answer(present(keys=[views.key(seen) for seen in page.items], nextPageToken=token))

    async def rotate(self, call: Call) -> Response:
        """POST /v1/keys/{id}/rotate"""
        body = await call.json()

        async def make(bound: BoundRequest | None) -> Response:
            seal = partial(self._sealed, 200)
            return _shown(200, await call.core.keys.rotate(call.principal, call.id, bound, seal))

        return await self._once(call, body, make)

    async def revoke(self, call: Call) -> Response:
        """DELETE /v1/keys/{id}"""
        body = await call.json()

        async def make(bound: BoundRequest | None) -> Response:
            await call.core.keys.revoke(call.principal, call.id, bound)
            return answer({"id": call.id, "message": "The key is void."})

        return await self._once(call, body, make)

    def _sealed(self, status: int, seen: SeenKey) -> bytes | None:
        return self._once.seal(_shown(status, seen))


def _shown(status: int, seen: SeenKey) -> Response:
    return answer(views.key(seen), status, {"Cache-Control": "no-store"})


def _wanted(body: object) -> NewKey:
    """The checked body. Raises Invalid with every fault at its pointer."""
    faults = CHECKER.faults(body)
    given = body if isinstance(body, dict) else {}
    for name in ("name", "organisation", "project"):
        if isinstance(given.get(name), str) and CONTROL.search(given[name]):
            faults.append(Fault(f"/{name}", "Control characters and lone surrogates are not allowed."))
    if faults:
        raise Invalid(faults=faults)
    try:
        request = KeyRequest.model_validate(given)
    except ValidationError as error:
        raise Invalid(faults=model_faults(error)) from error
    expires_at: datetime | None = request.expires_at
    return NewKey(
        name=request.name,
        role=request.role,
        organisation=request.organisation,
        project=request.project,
        permissions=None if request.permissions is None else frozenset(request.permissions),
        expires_at=expires_at,
    )
