"""The asynchronous client on an application in the same process, as embedders test theirs."""

from __future__ import annotations

import json

import pytest
from tests.integration.conftest import ORGANISATION, PLACE, PROJECT, House

from enopax_core.client import AsyncClient, Patience, operations, resources
from enopax_core.errors import Invalid, Malformed, NotFound, PreconditionFailed, Unauthenticated

pytestmark = pytest.mark.anyio


def client_of(house: House) -> AsyncClient:
    """The owner's client."""
    return AsyncClient("http://enopax.test", house.core.owner_key_file.read_text().strip(), app=house.app)


async def test_a_resource_is_made_followed_and_listed(house: House) -> None:
    async with client_of(house) as client:
        begun = await client.send(resources.provision("shelf", {"name": "one", **PLACE}, wait=0))
        assert begun.operation is not None
        assert (await client.wait(begun.operation)).state == "succeeded"
        page = await client.send(resources.page("shelf", ORGANISATION, PROJECT))
        assert [(found.id, found.status) for found in page.items] == [(begun.id, "active")]
        assert [one.id for one in (await client.send(operations.page(ORGANISATION, PROJECT))).items] == [begun.operation]


async def test_a_change_is_refused_when_the_resource_is_not_what_was_seen(house: House) -> None:
    async with client_of(house) as client:
        made = await client.send(resources.provision("shelf", {"name": "one", **PLACE}))
        seen = await client.send(resources.show("shelf", made.id))
        assert seen.etag
        await client.send(resources.update("shelf", made.id, {"name": "two"}, etag=seen.etag))
        with pytest.raises(PreconditionFailed):
            await client.send(resources.update("shelf", made.id, {"name": "three"}, etag=seen.etag))


async def test_a_long_answer_comes_piece_by_piece_or_as_the_error_that_it_is(house: House) -> None:
    await house.make()
    async with client_of(house) as client:
        log = b"".join([piece async for piece in client.download("GET", "/v1/admin/audit")])
        assert [json.loads(line)["action"] for line in log.splitlines()] == ["provision"]
        with pytest.raises(Malformed):
            async for _ in client.download("GET", "/v1/admin/audit", params={"after": "x"}):
                pass


async def test_errors_are_those_of_the_core(house: House) -> None:
    async with client_of(house) as client:
        with pytest.raises(NotFound):
            await client.send(resources.show("shelf", "nothing"))
        with pytest.raises(Invalid) as invalid:
            await client.send(resources.provision("shelf", {"name": "one", "weight": 3, **PLACE}))
        assert [fault.pointer for fault in invalid.value.faults] == ["/weight"]
    async with AsyncClient("http://enopax.test", "enx_key_wrong", app=house.app, patience=Patience(tries=1)) as stranger:
        with pytest.raises(Unauthenticated):
            await stranger.send(resources.show("shelf", "nothing"))
