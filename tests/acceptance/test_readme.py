"""The README's tour, line by line, as somebody copies it: against a server started with the command that it gives."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from tests.acceptance.serverkit import PATIENCE, eventually

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks() -> list[str]:
    """Shell blocks of the tour, in order."""
    tour = (ROOT / "README.md").read_text().split("## A two-minute tour")[1].split("\n## ")[0]
    return BLOCK.findall(tour)


@pytest.mark.timeout(180)
def test_the_tour_works_line_by_line(tmp_path: Path) -> None:
    start, *rest = blocks()
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    environ = {**os.environ, "ENOPAX_PORT": "0", "ENOPAX_SSH_PORT": "0", "SSH_AUTH_SOCK": ""}  # ports may be in use here
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(["bash", "-ec", f"exec {start.strip()}"], cwd=tmp_path, env=environ, stdout=log, stderr=log)
    try:
        eventually("the server is ready", lambda: (tmp_path / "data/server.json").exists())
        script = "\n".join(rest).replace("/tmp/tour", str(tmp_path / "tour"))
        ended = subprocess.run(
            ["bash", "-ec", script],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        told = ended.stdout
        assert "eu.enopax.operation.succeeded" in told  # the slow one was followed to its end
        assert '"commits":{"value":1' in told.replace(" ", "").replace("1.0", "1")
        assert "refused, as it should be" in told
        assert told.count("refs/heads/main") == 2  # before it was deleted, and after it was restored
        assert json.loads((tmp_path / "tour/site.json").read_text())["status"] == "active"
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) == 0
