"""The doctor at a real installation, running and stopped."""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import subprocess
from typing import Any

from tests.acceptance.serverkit import Server
from tests.acceptance.test_backup import enopax


def examined(server: Server, *options: str, status: int = 0) -> dict[str, dict[str, Any]]:
    """The findings by check."""
    free = {"ENOPAX_PORT": "0", "ENOPAX_SSH_PORT": "0"}  # whoever listens on this machine
    said = enopax("doctor", "--data-dir", server.data_dir, "--output", "json", *options, status=status, **free).stdout
    return {one["check"]: one for one in json.loads(said)}


def test_a_sound_installation_lacks_nothing_but_a_backup_running_or_stopped(server: Server) -> None:
    running = examined(server)
    server.stop()
    for found in (running, examined(server)):
        bad = {name for name, one in found.items() if one["severity"] != "ok"}
        assert bad - {"disk"} == {"backup"}
        assert {"owner key", "secrets", "versions", "ports", "ssh"} <= found.keys()
        assert {"permissions", "keys", "plugins", "clock", "queue", "operations", "events", "expiring keys"} <= found.keys()


def test_commands_on_this_machine_go_on_working_when_the_owner_s_key_is_rotated(server: Server) -> None:
    place = ("--data-dir", server.data_dir, "--output", "json")
    (owner,) = json.loads(enopax("keys", "list", *place).stdout)
    enopax("keys", "rotate", owner["id"], *place)
    assert examined(server)["owner key"]["severity"] == "ok"


def test_what_is_safe_is_mended_and_the_rest_is_told(server: Server) -> None:
    key = server.data_dir / "owner.key"
    key.chmod(0o644)
    found = examined(server, status=1)["permissions"]
    assert (found["severity"], found["remedy"]) == ("error", "enopax doctor --fix")
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


def test_an_owner_key_that_opens_nothing_is_told_beside_the_running_server_and_replaced(server: Server) -> None:
    key = server.data_dir / "owner.key"
    key.write_text("enx_key_of_another_installation\n")
    assert examined(server)["owner key"]["severity"] == "warning"
    server.stop()
    enopax("recover-owner-key", "--data-dir", server.data_dir)
    server.start()
    assert examined(server)["owner key"]["severity"] == "ok"
    assert server.api.get("/v1/keys").status_code == 200


def test_an_ssh_server_whose_host_key_is_not_the_installations_is_told(server: Server) -> None:
    kept = server.data_dir / "git" / "ssh_host_ed25519_key"
    assert examined(server)["ssh"]["severity"] == "ok"  # it has read its key
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", kept.with_name("other")], check=True)
    kept.with_name("other").replace(kept)
    found = examined(server, status=1)["ssh"]
    assert (found["severity"], "another host key" in found["message"]) == ("error", True)


def test_an_ssh_port_that_somebody_else_has_is_told_while_the_server_is_stopped(server: Server) -> None:
    server.stop()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        (server.data_dir / "enopax.toml").write_text(f"[git]\nssh_port = {port}\n")
        said = enopax("doctor", "--data-dir", server.data_dir, "--output", "json", status=1, ENOPAX_PORT="0").stdout
    (found,) = [one for one in json.loads(said) if one["check"] == "ssh"]
    assert (found["severity"], str(port) in found["message"]) == ("error", True)
