"""Writes an installation of this version, for later versions to prove that they can read it.

    python -m tests.acceptance.upgrade tests/fixtures/data-0.1.0.tar

makes a server of its own, uses it in every way that leaves something behind, and keeps a backup of it. Done once for each
release; `test_upgrade.py` restores whatever lies in `tests/fixtures`, and what this version writes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.acceptance.serverkit import Server, serving
from tests.acceptance.test_backup import enopax

PLACE = {"organisationName": "Acme", "projectName": "Größe 1"}
WHERE = {"org": "Acme", "project": "Größe 1"}
MESSAGE = "as it was written"


def write(archive: Path) -> None:
    """Use a server, and back it up into a new file."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "data") as server:
        use(server)
        enopax("backup", archive, "--data-dir", server.data_dir)


def use(server: Server) -> None:
    """Something of every kind that a later version must be able to read."""
    kept = _made(server, "example", "kept")
    _answered(server, "PUT", f"/v1/example/{kept['id']}", {"message": MESSAGE})
    _answered(server, "POST", f"/v1/example/{kept['id']}/credentials/rotate")
    _made(server, "git-repo", "code", description=MESSAGE)
    gone = _made(server, "git-repo", "gone")
    _answered(server, "DELETE", f"/v1/git-repo/{gone['id']}")
    _answered(server, "POST", "/v1/keys", {"name": "bot", "role": "member", "organisation": "Acme"})


def _made(server: Server, endpoint: str, name: str, **config: Any) -> dict[str, Any]:
    return _answered(server, "POST", f"/v1/{endpoint}", {"name": name, **PLACE, **config})


def _answered(server: Server, method: str, path: str, body: Any = None) -> dict[str, Any]:
    answer = server.api.request(method, path, json=body)
    assert answer.status_code in (200, 201), answer.text
    found: dict[str, Any] = answer.json()
    return found


if __name__ == "__main__":
    write(Path(sys.argv[1]))
