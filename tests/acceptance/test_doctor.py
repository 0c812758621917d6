"""The doctor at a real installation, running and stopped."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import Any

from tests.acceptance.serverkit import Server
from tests.acceptance.test_backup import enopax


def examined(server: Server, *options: str, status: int = 0) -> dict[str, dict[str, Any]]:
    """The findings by check."""
    said = enopax("doctor", "--data-dir", server.data_dir, "--output", "json", *options, status=status).stdout
    return {one["check"]: one for one in json.loads(said)}


def test_a_sound_installation_lacks_nothing_but_a_backup_running_or_stopped(server: Server) -> None:
    running = examined(server)
    server.stop()
    for found in (running, examined(server)):
        bad = {name for name, one in found.items() if one["severity"] != "ok"}
        assert bad - {"disk"} == {"backup"}
        assert {"permissions", "keys", "plugins", "clock", "queue", "events", "expiring keys"} <= found.keys()


def test_commands_on_this_machine_go_on_working_when_the_owner_s_key_is_rotated(server: Server) -> None:
    place = ("--data-dir", server.data_dir, "--output", "json")
    (owner,) = json.loads(enopax("keys", "list", *place).stdout)
    enopax("keys", "rotate", owner["id"], *place)
    assert examined(server)["owner key"]["severity"] == "ok"


def test_what_is_safe_is_mended_and_the_rest_is_told(server: Server) -> None:
    key = server.data_dir / "owner.key"
    key.chmod(0o644)
    found = examined(server, status=1)["permissions"]
    assert (found["severity"], found["remedy"]) == ("error", f"chmod go= {key}")
    assert examined(server, "--fix")["permissions"]["severity"] == "ok"
    assert key.stat().st_mode & 0o777 == 0o600


def test_after_a_backup_its_age_is_known(server: Server) -> None:
    enopax("backup", server.data_dir.parent / "a.tar", "--data-dir", server.data_dir)
    assert examined(server)["backup"]["severity"] == "ok"


def test_a_database_of_a_newer_version_is_told_and_left_alone(server: Server) -> None:
    server.stop()
    with contextlib.closing(sqlite3.connect(server.data_dir / "ledger.sqlite3", isolation_level=None)) as connection:
        connection.execute("INSERT INTO migrations VALUES ('core', 9999, 'future')")
    found = examined(server, status=1)["ledger"]
    assert "a newer version wrote it" in found["message"]
