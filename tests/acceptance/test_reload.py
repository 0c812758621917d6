"""`enopax serve --reload`, as an author uses it: what was broken by one change is mended by the next."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import httpx
from tests.acceptance.environment import install_core, without_index
from tests.acceptance.serverkit import PATIENCE, eventually

from enopax_core.cli.scaffold import scaffold

BROKEN = """

@hookimpl
def enopax_lifespan(host: Host) -> Any:
    raise RuntimeError("the author's fault")
"""


def appears(file: Path, within: float) -> bool:
    """Whether a file is there before so many seconds have passed."""
    until = time.monotonic() + within
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.05)
    return file.exists()


def test_a_start_that_fails_is_tried_again_with_the_next_change(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    environment = without_index(work)
    module = scaffold("box", work) / "src" / "enopax_box" / "__init__.py"
    python = str(work / ".venv" / "bin" / "python")
    subprocess.run(["python3", "-m", "venv", ".venv"], cwd=work, env=environment, check=True)
    install_core(work, environment)
    plugin = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--editable", "./enopax_box"]
    subprocess.run(plugin, cwd=work, env=environment, check=True, timeout=120)

    whole = module.read_text()
    module.write_text(whole + BROKEN)
    log, announced = work / "log", work / "data" / "server.json"
    with log.open("wb") as output:
        command = [python, "-m", "enopax_core.cli", "serve", "--reload", "--port", "0"]
        server = subprocess.Popen(command, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        eventually("the server waits for a change", lambda: "starts again with the next change" in log.read_text())
        for patience in (3, 15, 60):  # who saves before it watches is not heard, and saves again; it starts anew each time
            module.write_text(whole)
            if appears(announced, within=patience):
                break
        found = json.loads(announced.read_text())
        assert found["pid"] == server.pid
        offered = httpx.get(f"{found['url']}/providers/info").json()["providers"]
        assert [provider["name"] for provider in offered] == ["box"]
        module.write_text(whole + "\n")  # asked to start again and to end at once, it ends
        eventually("the server hears of the change", lambda: log.read_text().count("starting again") > 1)
        server.terminate()
        server.wait(PATIENCE)
    finally:
        server.kill()
        server.wait()
