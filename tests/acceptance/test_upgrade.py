"""What an earlier version wrote is read by this one."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.acceptance import upgrade
from tests.acceptance.gitkit import Person
from tests.acceptance.serverkit import serving
from tests.acceptance.test_backup import enopax

KEPT = sorted((Path(__file__).parents[1] / "fixtures").glob("data-*.tar"))


@pytest.fixture(params=["this version", *KEPT], ids=lambda one: getattr(one, "name", one))
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A backup that a version wrote: this one, or one whose fixture was kept."""
    if isinstance(request.param, Path):
        return request.param
    upgrade.write(tmp_path / "now.tar")
    return tmp_path / "now.tar"


def test_an_installation_is_taken_over_with_everything_in_it(archive: Path, tmp_path: Path) -> None:
    enopax("restore-backup", archive, "--data-dir", tmp_path / "data")
    with serving(tmp_path / "data") as server:
        found = {
            one["name"]: one
            for endpoint in ("example", "git-repo")
            for one in server.api.get(f"/v1/{endpoint}", params=upgrade.WHERE).json()["resources"]
        }
        assert {name: one["status"] for name, one in found.items()} == {"kept": "active", "code": "active"}
        kept = f"/v1/example/{found['kept']['id']}"
        assert server.api.get(kept).json()["config"]["message"] == upgrade.MESSAGE
        assert server.api.get(f"{kept}/credentials").json()["credentials"]["token"]
        (gone,) = server.api.get("/v1/git-repo", params={**upgrade.WHERE, "status": "deleted"}).json()["resources"]
        assert server.api.post(f"/v1/git-repo/{gone['id']}/restore").status_code == 200
        assert {key["name"] for key in server.api.get("/v1/keys").json()["keys"]} == {"owner", "bot"}
        assert server.api.get("/v1/admin/audit/verify").json()["intact"]
        alice = Person(tmp_path / "alice")
        code = server.api.put(f"/v1/git-repo/{found['code']['id']}", json={"sshKeys": [alice.public_key]}).json()
        alice.git("push", "--quiet", code["connection"]["ssh"], "main", cwd=alice.work_tree("tree"))
