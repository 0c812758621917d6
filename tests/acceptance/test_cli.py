"""The command line against a real server, as an operator types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.gitkit import Person
from tests.acceptance.serverkit import PATIENCE, Server

ENOPAX = (sys.executable, "-m", "enopax_core.cli")
Ended = subprocess.CompletedProcess[str]


class Terminal:
    """Somebody in the directory above the data directory, with an organisation and project in mind."""

    def __init__(self, server: Server) -> None:
        self.server, self.cwd = server, server.data_dir.parent
        self.environ = {
            **os.environ,
            "ENOPAX_DATA_DIR": str(server.data_dir),
            "ENOPAX_ORG": "Acme",
            "ENOPAX_PROJECT": "Web",
            "HOME": str(self.cwd),
            "XDG_CONFIG_HOME": str(self.cwd / "config"),
        }

    def __call__(self, *arguments: str, status: int = 0, typed: str = "") -> Ended:
        """Run a command, which must end with this status."""
        ended = subprocess.run(
            [*ENOPAX, *arguments],
            cwd=self.cwd,
            env=self.environ,
            input=typed,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert ended.returncode == status, f"{arguments}: {ended.returncode} {ended.stdout} {ended.stderr}"
        assert "Traceback" not in ended.stderr
        return ended

    def json(self, *arguments: str) -> Any:
        """What a command tells a program."""
        return json.loads(self(*arguments, "--output", "json").stdout)


@pytest.fixture
def enopax(server: Server) -> Terminal:
    """Somebody at a terminal."""
    return Terminal(server)


def test_a_resource_is_made_shown_changed_and_deleted(enopax: Terminal) -> None:
    assert "git-repo" in enopax("providers").stdout
    helped = enopax("provision", "example", "--help").stdout
    assert "--message" in helped
    assert "How many attempts fail" in helped
    preview = json.loads(enopax("provision", "example", "one", "--dry-run").stdout)
    assert preview["config"]["message"] == "hello"
    assert enopax.json("list") == []
    made = enopax.json("provision", "example", "one", "--message", "hi")
    assert (made["name"], made["status"], made["config"]["message"]) == ("one", "active", "hi")
    assert made["id"] in enopax("list", "example").stdout
    assert enopax.json("show", "example", "one")["id"] == made["id"]
    assert enopax("update", "example", "one", "--message", "bye", status=1, typed="n\n").stdout.count("bye") == 1
    assert enopax.json("show", "example", "one")["config"]["message"] == "hi"
    enopax("update", "example", "one", "--message", "bye", "--yes")
    assert enopax.json("show", "example", made["id"])["config"]["message"] == "bye"
    assert [row["name"] for row in enopax.json("metrics", "example", "one")] == ["size"]
    asked = enopax("delete", "example", "one", status=1, typed="n\n")
    assert f"Delete example one ({made['id']})?" in asked.stderr
    enopax("delete", "example", "one", "--yes")
    assert enopax.json("list") == []
    assert [row["type"] for row in enopax.json("operations", "list")] == ["provision", "update", "delete"]
    assert {"provision", "update", "delete"} <= {row["action"] for row in enopax.json("audit")}


def test_progress_is_told_and_a_failure_has_its_status(enopax: Terminal) -> None:
    told = enopax("provision", "example", "slow", "--delay", "0.4").stderr
    assert "60 % provision" in told
    begun = enopax.json("provision", "example", "slower", "--delay", "30", "--no-wait")
    (operation,) = [row["id"] for row in enopax.json("operations", "list") if row["resource"] == begun["id"]]
    enopax("operations", "cancel", operation)
    assert "cancelled" in enopax("operations", "watch", operation, status=6).stderr


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("show", "example", "nothing"), 3, "There is no example named nothing in Acme / Web."),
        (("provision", "example", "x", "--delay", "100"), 1, "/delay: This must be at most 60."),
        (("provision", "example", "x", "--delay", "long"), 2, "not a valid float"),
        (("provision", "nothing", "x"), 2, "No such command 'nothing'"),
        (("list", "--data-dir", "/nowhere"), 7, "start one with enopax serve"),
        (("list", "--profile", "nobody"), 1, "enopax login URL"),
    ],
)
def test_an_error_says_what_to_do_and_has_its_status(
    enopax: Terminal, arguments: tuple[str, ...], status: int, said: str
) -> None:
    assert said in enopax(*arguments, status=status).stderr


def test_a_key_of_ones_own_signs_in_elsewhere(enopax: Terminal) -> None:
    made = enopax.json("keys", "create", "bot", "--role", "member")
    enopax("login", enopax.server.url, "--profile", "work", typed=made["key"] + "\n")
    profiles = enopax.cwd / "config/enopax/profiles.json"
    assert profiles.stat().st_mode & 0o777 == 0o600
    assert enopax.json("list", "--profile", "work") == []
    assert "lacks the permission" in enopax("keys", "list", "--profile", "work", status=4).stderr
    enopax("keys", "revoke", made["id"], "--yes")
    enopax("list", "--profile", "work", status=4)
    enopax("login", enopax.server.url, "--key", "enx_key_wrong", status=4)


def test_a_repository_is_cloned_and_its_secrets_printed(enopax: Terminal, person: Callable[[str], Person]) -> None:
    ann = person("ann")
    enopax("provision", "git-repo", "site", "--ssh-key", str(ann.key_file.with_suffix(".pub")))
    enopax.environ |= ann.environment
    enopax("connect", "git-repo", "site", "--quiet")
    assert (enopax.cwd / "site/.git").is_dir()
    said = enopax("credentials", "git-repo", "site").stdout
    assert said.startswith("USERNAME=git\nTOKEN=enx_git_")
    address = enopax("credentials", "git-repo", "site", "--format", "uri").stdout.strip()
    ann.git("ls-remote", address)
    assert enopax("credentials", "git-repo", "site", "--rotate").stdout != said


def test_a_project_is_exported_and_brought_to_what_a_file_says(enopax: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "project.yaml"
    file.write_text(
        "resources:\n- {endpoint: example, name: one, message: hi}\n- {endpoint: git-repo, name: site, defaultBranch: trunk}\n"
    )
    assert "+ example one\n+ git-repo site\n" in enopax("apply", "-f", str(file), "--dry-run").stdout
    assert enopax.json("list") == []
    enopax("apply", "-f", str(file), "--yes")
    assert "Everything is as the file says." in enopax("apply", "-f", str(file)).stdout
    exported = enopax("export").stdout
    file.write_text(exported.replace("hi", "bye"))
    assert "/message: 'hi' → 'bye' (in-place)" in enopax("apply", "-f", str(file), "--yes").stdout
    file.write_text("resources:\n- {endpoint: example, name: two}\n")
    assert "- example one" in enopax("apply", "-f", str(file), "--prune", "--yes").stdout
    assert {(row["endpoint"], row["name"]) for row in enopax.json("list")} == {("example", "two"), ("git-repo", "site")}
    file.write_text("resources:\n- {name: one}\nother: 1\n")
    refused = enopax("apply", "-f", str(file), "--yes", status=1).stderr
    assert "/other" in refused
    assert "/resources/0" in refused
