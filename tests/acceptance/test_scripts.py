"""Script providers in a server that is killed."""

from __future__ import annotations

import json
from pathlib import Path

from tests.acceptance.serverkit import eventually, serving

PROVISION = """#!/usr/bin/env bash
echo $$ >>"$DATA/runs"
while [[ ! -e $DATA/go ]]; do sleep 0.05; done
"""


def works(pid: str) -> bool:
    """Whether a process is there and does something: one that nobody has asked for its end yet does not."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_script_that_outlived_its_server_is_ended_before_the_change_runs_again(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    folder, kept = data_dir / "providers/slow", data_dir / "script/data/slow"
    folder.mkdir(parents=True)
    (folder / "provider.json").write_text(json.dumps({"name": "slow", "endpoint": "slow", "schema": {}}))
    for name, content in {
        "provision": PROVISION,
        "status": '#!/bin/sh\necho \'{"health": "ready"}\'\n',
        "delete": "#!/bin/sh\n",
    }.items():
        (folder / name).write_text(content)
        (folder / name).chmod(0o755)

    def runs() -> list[str]:
        return (kept / "runs").read_text().split() if (kept / "runs").exists() else []

    with serving(data_dir) as server:
        body = {"name": "one", "organisationName": "Acme"}
        accepted = server.api.post("/v1/slow", json=body, headers={"Prefer": "respond-async"}).json()
        (first,) = eventually("the script runs", runs)
        server.kill()
        assert works(first)
        server.start()
        eventually("it runs again", lambda: len(runs()) == 2)
        assert not works(first)
        (kept / "go").touch()
        eventually("it is done", lambda: server.api.get(f"/v1/slow/{accepted['id']}").json()["status"] == "active")
        assert len(runs()) == 2
