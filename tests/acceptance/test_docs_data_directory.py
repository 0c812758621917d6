"""What a server writes into its data directory is documented."""

from __future__ import annotations

from tests.acceptance.serverkit import Server
from tests.unit.pages import named, text


def test_everything_in_the_data_directory_is_documented(server: Server) -> None:
    place = {"organisationName": "Acme", "projectName": "Web"}
    for endpoint in ("example", "git-repo"):
        assert server.api.post(f"/v1/{endpoint}", json={"name": "one", **place}).status_code == 201
    found = {path.name.removesuffix("-wal").removesuffix("-shm") for path in server.data_dir.iterdir()}
    assert found <= named(text("reference/data-directory.md"))
