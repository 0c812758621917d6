"""A plugin that consumes events, in a server that is killed while it does so."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from tests.acceptance.installing import install_plugin
from tests.acceptance.serverkit import Server, eventually, serving

WITNESS = Path(__file__).parent / "witness/enopax_witness.py"

CURSOR = "SELECT position FROM cursors WHERE consumer = 'witness'"


def noted(server: Server, what: str) -> list[int]:
    """Positions of the events that the plugin has begun with, or is done with, in the order of its doing."""
    file = server.data_dir / "witness.log"
    lines = file.read_text().splitlines() if file.exists() else []
    return [int(line.split()[1]) for line in lines if line.startswith(what)]


def last_event(server: Server) -> int:
    """Position of the newest event in the log."""
    return _asked(server, "SELECT max(position) FROM events")


def _asked(server: Server, query: str) -> int:
    with contextlib.closing(sqlite3.connect(server.data_dir / "ledger.sqlite3", timeout=60)) as ledger:
        return int(ledger.execute(query).fetchone()[0])


def make(server: Server, name: str) -> None:
    """A new resource, whose events follow."""
    body: dict[str, Any] = {"name": name, "organisationName": "Acme", "projectName": "Web"}
    assert server.api.post("/v1/example", json=body).status_code == 201


def has_all(server: Server) -> bool:
    """Whether the plugin is done with every event there is, and the core knows it."""
    last = last_event(server)
    return noted(server, "done")[-1:] == [last] and _asked(server, CURSOR) == last


def test_a_consumer_killed_in_the_middle_of_an_event_loses_none_and_goes_on_where_it_was(data_dir: Path) -> None:
    environ = install_plugin(data_dir.with_name("plugins"), WITNESS)
    wait = data_dir / "witness.wait"
    with serving(data_dir, **environ) as server:
        make(server, "one")
        eventually("the plugin has had every event", lambda: noted(server, "done") and has_all(server))
        before = noted(server, "done")
        wait.touch()
        make(server, "two")
        eventually("it is in the middle of one", lambda: noted(server, "began") != noted(server, "done"))
        make(server, "three")
        server.kill()
        assert noted(server, "began")[:-1] == noted(server, "done") == before

        wait.unlink()
        server.start()
        eventually("it has had every event once more", lambda: has_all(server))
        assert noted(server, "done") == list(range(before[0], last_event(server) + 1))
        server.stop()
        server.start()
        make(server, "four")
        eventually("it goes on", lambda: has_all(server))
        assert noted(server, "done") == list(range(before[0], last_event(server) + 1))
