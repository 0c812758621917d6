"""The examples run as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from tests.acceptance.serverkit import PATIENCE, eventually
from tests.unit.pages import FENCE, text

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = ("embed", "script")
APPLICATIONS = ("mount_starlette", "mount_fastapi")


def test_every_example_is_run_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*PROGRAMS, *APPLICATIONS}


def test_the_page_on_embedding_shows_what_the_examples_do() -> None:
    programs = [_lines(path.read_text("utf-8")) for path in EXAMPLES.glob("*.py")]
    shown = [_lines(block["content"]) for block in FENCE.finditer(text("howto/embed.md")) if block["kind"] == "python"]
    assert shown
    for excerpt in shown:
        assert any(excerpt in program for program in programs), excerpt


def _lines(program: str) -> str:
    """Its lines, however far they are indented."""
    return "\n".join(line.strip() for line in program.strip().splitlines())


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_provisions_without_a_server(name: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py")],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("succeeded\n")


@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_application_holds_the_api_below_a_prefix(name: str, tmp_path: Path) -> None:
    environ = {**os.environ, "DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-m", "uvicorn", f"{name}:app", "--app-dir", str(EXAMPLES), "--uds", str(tmp_path / "socket")]
    process = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
    try:
        eventually("it listens", lambda: (tmp_path / "socket").exists())
        transport = httpx.HTTPTransport(uds=str(tmp_path / "socket"))
        with httpx.Client(base_url="http://app", transport=transport, timeout=PATIENCE) as client:
            assert client.get("/infrastructure/readyz").status_code == 200
            key = (tmp_path / "data/owner.key").read_text().strip()
            wanted = {"name": "one", "organisationName": "Acme"}
            made = client.post("/infrastructure/v1/example", json=wanted, headers={"X-API-Key": key})
            assert (made.status_code, made.headers["location"]) == (201, f"/infrastructure/v1/example/{made.json()['id']}")
            if name == "mount_fastapi":
                assert client.post("/customers/Bolt").json()["state"] == "succeeded"
            else:
                assert "/infrastructure" in client.get("/").text
    finally:
        process.terminate()
        assert process.wait(PATIENCE) in (0, -15)
