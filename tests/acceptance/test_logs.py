"""The log of a service of a real server is followed: by the command line, and by a client while the server is killed."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.acceptance.lampkit import House, house_on
from tests.acceptance.serverkit import PATIENCE, eventually

from enopax_core.client import Client, Patience

FOLLOW = (sys.executable, "-m", "enopax_core.cli", "logs", "lamp", "one", "--follow", "--org", "Acme", "--project", "Lamps")
LIT = "the lamp is lit"


@pytest.fixture
def house(data_dir: Path) -> Iterator[House]:
    """A server with lamps."""
    with house_on(data_dir) as house:
        house.server.start()
        yield house


def change(house: House, id: str, colour: str) -> None:
    """Give a lamp another colour, which lights it anew."""
    assert house.server.api.put(f"/v1/lamp/{id}", json={"colour": colour}).is_success


def test_the_command_line_follows_a_log_until_the_resource_is_deleted(house: House, tmp_path: Path) -> None:
    lamp, said = house.light("one"), tmp_path / "said"
    with said.open("wb") as output:
        following = subprocess.Popen([*FOLLOW, "--data-dir", house.server.data_dir], stdout=output)
    try:
        eventually("the first line", lambda: said.read_text().count(LIT) == 1)
        change(house, lamp["id"], "red")
        eventually("the second line", lambda: said.read_text().count(LIT) == 2)
        assert house.server.api.delete(f"/v1/lamp/{lamp['id']}").is_success
        assert following.wait(PATIENCE) == 0
    finally:
        following.kill()
        following.wait()


def test_a_client_goes_on_where_a_server_that_was_killed_comes_back(house: House) -> None:
    lamp, server, seen = house.light("one"), house.server, list[str]()
    server.ports = (int(server.url.rpartition(":")[2]), server.ssh_port)  # it comes back to where it was

    def follow() -> None:
        with Client(server.url, key, patience=Patience(tries=100, longest=1.0)) as client:
            for line in client.logs("lamp", id):
                seen.append(line.message)

    id, key = lamp["id"], str(server.api.headers["x-api-key"])
    following = threading.Thread(target=follow, daemon=True)
    following.start()
    eventually("the first line", lambda: sum(LIT in line for line in seen) == 1)
    server.kill()
    server.start()
    change(house, id, "red")
    eventually("the second line", lambda: sum(LIT in line for line in seen) == 2)
    assert server.api.delete(f"/v1/lamp/{id}").is_success
    following.join(PATIENCE)
    assert not following.is_alive()
