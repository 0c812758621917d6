"""What the reference says of bundled providers is so."""

from __future__ import annotations

import pytest
from tests.acceptance.serverkit import Server
from tests.unit.pages import codes, rows, section

PLACE = {"organisationName": "Acme", "projectName": "Web"}


@pytest.mark.parametrize("endpoint", ["example", "git-repo"])
def test_a_resource_offers_what_is_documented(server: Server, endpoint: str) -> None:
    told = {cells[0]: codes(cells[1]) for cells in rows(section("reference/providers.md", f"`{endpoint}`")) if len(cells) == 2}
    offered = next(one for one in server.api.get("/providers/info").json()["providers"] if one["endpoint"] == endpoint)
    made = server.api.post(f"/v1/{endpoint}", json={"name": "one", **PLACE}).json()
    measured = server.api.get(f"/v1/{endpoint}/{made['id']}/metrics").json()["metrics"]
    assert told["capabilities"] == offered["capabilities"]
    assert told["plan"][0] == offered["plans"][0]["id"]
    assert told["connection"] == list(made["connection"])
    assert told["credentials"] == list(made["credentials"])
    assert [name for name in told["metrics"] if name != "last_push"] == list(measured)  # nothing was pushed yet
