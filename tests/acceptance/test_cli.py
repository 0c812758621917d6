"""The command line against a real server, as an operator types it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.gitkit import Person
from tests.acceptance.serverkit import PATIENCE, Server, eventually, serving

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


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """Somebody at a terminal of a server that nothing here changes: it has one resource, and a private key lies about."""
    with serving(tmp_path_factory.mktemp("furnished") / "data") as server:
        enopax = Terminal(server)
        (enopax.cwd / "owner.pem").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
        enopax("provision", "example", "kept")
        yield enopax


def test_a_resource_is_made_shown_changed_and_deleted(enopax: Terminal) -> None:
    assert "git-repo" in enopax("providers").stdout
    helped = enopax("provision", "example", "--help").stdout
    assert "--message" in helped
    assert "How many attempts fail" in helped
    assert "config.message  hello" in enopax("provision", "example", "one", "--dry-run").stdout
    preview = enopax.json("provision", "example", "one", "--dry-run")
    assert preview["config"]["message"] == "hello"
    assert enopax.json("list") == []
    made = enopax.json("provision", "example", "one", "--message", "hi")
    assert (made["name"], made["status"], made["config"]["message"]) == ("one", "active", "hi")
    assert made["id"] in enopax("list", "example").stdout
    assert enopax.json("show", "example", "one")["id"] == made["id"]
    assert "\nconditions.Synced " in enopax("show", "example", "one").stdout
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
    assert {"provision", "update", "delete"} <= {row["action"] for row in enopax.json("audit", "list")}


def test_progress_is_told_and_a_failure_has_its_status(enopax: Terminal) -> None:
    told = enopax("provision", "example", "slow", "--delay", "0.4").stderr
    assert "60 % provision" in told
    begun = enopax.json("provision", "example", "slower", "--delay", "60", "--no-wait")
    (operation,) = [row["id"] for row in enopax.json("operations", "list") if row["resource"] == begun["id"]]
    enopax("operations", "cancel", operation)
    assert "cancelled" in enopax("operations", "watch", operation, status=6).stderr


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("show", "example", "nothing"), 3, "There is no example named nothing in Acme / Web; see enopax list example."),
        (("provision", "example", "x", "--delay", "100"), 1, "/delay: This must be at most 60."),
        (("provision", "example", "x", "--delay", "long"), 2, "not a valid float"),
        (("provision", "nothing", "x"), 2, "There is no provider nothing that offers this; there are: "),
        (("provision", "example", "x", "--ssh-key", "owner.pem"), 1, "it is a private one; give the file ending in .pub"),
        (("delete", "example", "kept"), 2, "give --yes to go on without asking"),
        (("list", "nothing"), 2, "There is no provider nothing; there are: "),
        (("list", "--data-dir", "data", "--profile", "x"), 1, "give one of them"),
        (("login", "enopax.example"), 1, "it begins with http:// or https://"),
        (("list", "--data-dir", "/nowhere"), 7, "start one with enopax serve"),
        (("list", "--profile", "nobody"), 1, "enopax login URL"),
    ],
)
def test_an_error_says_what_to_do_and_has_its_status(
    furnished: Terminal, arguments: tuple[str, ...], status: int, said: str
) -> None:
    assert said in furnished(*arguments, status=status).stderr


def test_the_audit_log_is_filtered_verified_and_exported(enopax: Terminal, tmp_path: Path) -> None:
    enopax("provision", "example", "one")
    enopax("delete", "example", "one", "--yes")
    assert [row["action"] for row in enopax.json("audit", "list", "--action", "provision")] == ["provision"]
    found = enopax.json("audit", "verify")
    assert (found["intact"], found["entries"] >= 2) == (True, True)
    enopax("audit", "verify", "--anchor", found["anchor"])
    enopax("audit", "export", str(tmp_path / "log"))
    assert (tmp_path / "log").read_text() == enopax("audit", "export").stdout
    assert enopax.json("audit", "verify-export", str(tmp_path / "log"))["anchor"] == found["anchor"]


def test_a_broken_audit_log_is_told_with_a_status(enopax: Terminal, tmp_path: Path) -> None:
    enopax("provision", "example", "one")
    enopax("delete", "example", "one", "--yes")
    wrong = "2:" + "0" * 64
    assert "Entry 2 is not the one that the anchor names." in enopax("audit", "verify", "--anchor", wrong, status=1).stdout
    lines = enopax("audit", "export").stdout.splitlines()
    (tmp_path / "log").write_text(lines[1] + "\n")
    assert "Entries 1 to 1 are missing." in enopax("audit", "verify-export", str(tmp_path / "log"), status=1).stdout
    (tmp_path / "log").write_text("{}\n")
    assert "Line 1 is no entry" in enopax("audit", "verify-export", str(tmp_path / "log"), status=1).stderr


def test_a_key_of_ones_own_signs_in_elsewhere(enopax: Terminal) -> None:
    made = enopax.json("keys", "create", "bot", "--role", "member")
    enopax("login", enopax.server.url, "--profile", "work", "--org", "Acme", "--project", "Web", typed=made["key"] + "\n")
    profiles = enopax.cwd / "config/enopax/profiles.json"
    assert profiles.stat().st_mode & 0o777 == 0o600
    for name in ("ENOPAX_DATA_DIR", "ENOPAX_ORG", "ENOPAX_PROJECT"):
        del enopax.environ[name]  # from here on the profile alone says where and what
    made_there = enopax.json("provision", "example", "--profile", "work", "one")
    assert enopax.json("provision", "--profile", "work", "example", "two")["status"] == "active"
    assert {row["id"] for row in enopax.json("list", "example", "--profile", "work")} > {made_there["id"]}
    assert "lacks the permission" in enopax("keys", "list", "--profile", "work", status=4).stderr
    assert "enopax serve" in enopax("list", "--data-dir", "nowhere", status=7).stderr
    enopax("login", enopax.server.url, "--org", "Acme", typed=made["key"] + "\n")
    enopax.cwd = enopax.cwd / "config"  # no data directory lies here: whoever has signed in to one server means that
    assert enopax.json("list", "--project", "Web")[0]["name"] == "one"
    everywhere = enopax.json(
        "keys", "create", "all", "--role", "owner", "--installation", "--data-dir", str(enopax.server.data_dir)
    )
    assert "organisation" not in everywhere
    enopax("keys", "revoke", made["id"], "--yes", "--data-dir", str(enopax.server.data_dir))
    assert f"enopax login {enopax.server.url} --profile work" in enopax("list", "--profile", "work", status=4).stderr
    enopax("login", enopax.server.url, status=4, typed="enx_key_wrong\n")


def test_a_repository_is_cloned_and_its_secrets_printed(enopax: Terminal, person: Callable[[str], Person]) -> None:
    ann = person("ann")
    enopax("provision", "git-repo", "site", "--ssh-key", str(ann.key_file.with_suffix(".pub")))
    enopax.environ |= ann.environment
    enopax("connect", "git-repo", "site", "--quiet")
    enopax("connect", "git-repo", "site", "elsewhere", "--quiet")
    assert (enopax.cwd / "elsewhere/.git").is_dir()
    assert (enopax.cwd / "site/.git").is_dir()
    said = enopax("credentials", "git-repo", "site").stdout
    assert said.startswith("USERNAME=git\nTOKEN=enx_git_")
    address = enopax("credentials", "git-repo", "site", "--format", "uri").stdout.strip()
    ann.git("ls-remote", address)
    assert enopax("credentials", "git-repo", "site", "--rotate").stdout != said
    enopax("provision", "git-repo", "keyless")
    enopax("connect", "git-repo", "keyless", "--quiet")
    assert "http://" in (enopax.cwd / "keyless/.git/config").read_text()
    assert "enx_git_" not in (enopax.cwd / "keyless/.git/config").read_text()


def test_what_a_provider_adds_is_called(enopax: Terminal) -> None:
    enopax("provision", "git-repo", "site")
    assert "Repack the repository" in enopax("call", "git-repo", "--help").stdout
    assert enopax.json("call", "git-repo", "repack", "site") == {"freed": 0}
    assert "There is no provider example that offers this" in enopax("call", "example", "repack", "site", status=2).stderr
    enopax("call", "git-repo", "repack", "nothing", status=3)


def test_what_takes_longer_than_an_answer_is_followed_to_its_result(data_dir: Path) -> None:
    folder = data_dir / "providers" / "oracle"
    folder.mkdir(parents=True)
    manifest = {"name": "oracle", "endpoint": "oracle", "schema": {"type": "object"}, "customEndpoints": [{"name": "ask"}]}
    (folder / "provider.json").write_text(json.dumps(manifest))
    for name, does in {"provision": "{}", "status": '{"status": "active"}', "delete": "{}", "ask": '{"answer": 42}'}.items():
        thinks = "sleep 2" if name == "ask" else ":"
        (folder / name).write_text(f"#!/bin/sh\n{thinks}\necho '{does}'\n")
        (folder / name).chmod(0o755)
    with serving(data_dir) as server:
        enopax = Terminal(server)
        enopax("provision", "oracle", "delphi")
        called = enopax("call", "oracle", "ask", "delphi", "--output", "json")
    assert json.loads(called.stdout) == {"answer": 42}
    assert "complete" in called.stderr  # it was followed


def test_a_deleted_resource_is_restored_by_its_name(enopax: Terminal) -> None:
    made = enopax.json("provision", "git-repo", "site")
    assert "can be restored until" in enopax("delete", "git-repo", "site", "--yes").stdout
    assert enopax.json("restore", "git-repo", "site")["id"] == made["id"]
    assert "Gone for good" in enopax("delete", "git-repo", "site", "--purge", "--yes").stdout
    enopax("show", "git-repo", made["id"], status=3)


def test_a_server_that_was_killed_is_missed_with_the_command_that_starts_it(enopax: Terminal) -> None:
    enopax.server.kill()
    assert f"Start it with: enopax serve --data-dir {enopax.server.data_dir}" in enopax("list", status=7).stderr


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["pro"], ["providers", "provision"]),
        (["show", "ex"], ["example"]),
        (["provision", "ex"], ["example"]),
        (["provision", "example", "--mes"], ["--message"]),
        (["show", "example", "k"], ["kept"]),
        (["update", "example", ""], ["kept"]),
        (["show", "--data-dir", "/nowhere", "ex"], []),
    ],
)
def test_a_shell_completes_commands_endpoints_options_and_names(
    furnished: Terminal, words: list[str], offered: list[str]
) -> None:
    completing = {"_ENOPAX_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(["enopax", *words]), "COMP_CWORD": str(len(words))}
    said = subprocess.run(
        [sys.executable, "-c", "from enopax_core.cli import main; main()"],
        env={**furnished.environ, **completing},
        cwd=furnished.cwd,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert [line.removeprefix("plain,") for line in said.stdout.splitlines() if line] == offered


def test_a_person_sees_a_bar(enopax: Terminal) -> None:
    ours, theirs = pty.openpty()
    command = [*ENOPAX, "provision", "example", "slow", "--delay", "60"]  # the bar is drawn ten times a second, or less often
    environ = {**enopax.environ, "TERM": "xterm", "COLUMNS": "120"}
    seen, interrupted = b"", False
    with subprocess.Popen(command, env=environ, cwd=enopax.cwd, stdout=subprocess.PIPE, stderr=theirs) as started:
        os.close(theirs)
        with contextlib.suppress(OSError):  # of a terminal that its last program has closed
            while piece := os.read(ours, 4096):
                seen += piece
                if b"Pretending to" in seen and not interrupted:
                    started.send_signal(signal.SIGINT)
                    interrupted = True
    os.close(ours)
    shown = seen.decode()
    assert started.returncode == 130, shown[-1000:]
    assert "━" in shown
    assert re.search(r"(allocate|configure|provision|verify) .* [2-8]0 % .*Pretending to \1", shown)
    enopax("operations", "cancel", shown.split()[-1])


def test_an_operation_goes_on_without_who_followed_it(enopax: Terminal) -> None:
    command = [*ENOPAX, "provision", "example", "slow", "--delay", "60"]
    with subprocess.Popen(command, env=enopax.environ, cwd=enopax.cwd, stderr=subprocess.PIPE, text=True) as following:
        assert following.stderr is not None
        while "allocate" not in following.stderr.readline():
            assert following.poll() is None
        following.send_signal(signal.SIGINT)
        said = following.stderr.read()
    assert following.returncode == 130
    operation = said.split()[-1]
    assert f"It goes on without you. Follow it with: enopax operations watch {operation}" in said
    assert [row["state"] for row in enopax.json("operations", "list")] == ["running"]
    enopax("operations", "cancel", operation)


def test_a_project_is_followed_line_by_line(enopax: Terminal) -> None:
    enopax("provision", "example", "one")
    command = [*ENOPAX, "events", "--after", "0"]
    with subprocess.Popen(command, env=enopax.environ, cwd=enopax.cwd, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        lines = [following.stdout.readline() for _ in range(2)]
        following.terminate()
    assert [line.split()[3] for line in lines] == ["operation.queued", "operation.running"]


def test_what_has_drifted_is_shown_by_its_fields_and_mended(tmp_path: Path) -> None:
    with serving(tmp_path / "data", ENOPAX_RECONCILE_SECONDS="1") as server:
        enopax = Terminal(server)
        made = enopax.json("provision", "example", "one", "--message", "hi")
        file = tmp_path / "project.yaml"
        file.write_text(enopax("export").stdout)
        backend = server.data_dir / "example" / f"{made['id']}.txt"
        backend.write_text("tampered with")
        eventually("the drift is seen", lambda: "Drifted" in enopax("show", "example", "one").stdout)
        assert "~ example one (Drifted: The backend differs in message.)" in enopax("apply", "-f", str(file), "--yes").stdout
        assert backend.read_text() == "hi"


def test_the_page_on_files_says_what_happens(enopax: Terminal, person: Callable[[str], Person]) -> None:
    page = (Path(__file__).parents[2] / "docs/howto/apply.md").read_text()
    file, console = re.search(r"```yaml\n(.*?)```", page, re.DOTALL), re.search(r"```console\n(.*?)```", page, re.DOTALL)
    assert file is not None
    assert console is not None
    (enopax.cwd / "project.yaml").write_text(file[1].replace("ssh-ed25519 AAAA… ann", person("ann").public_key))
    enopax("provision", "example", "greeting", "--message", "Hi")
    command, *told = console[1].splitlines()
    answered = enopax(*command.split()[2:], typed="y\n")
    assert answered.stdout.splitlines()[: len(told) - 1] == told[:-1]
    assert told[-1] in answered.stderr
    assert "Everything is as the file says." in enopax(*command.split()[2:]).stdout


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
    assert '/message: "hi" → "bye" (in-place)\n1 to update, 1 unchanged.' in enopax("apply", "-f", str(file), "--yes").stdout
    file.write_text("resources:\n- {endpoint: example, name: two}\n")
    assert "- example one" in enopax("apply", "-f", str(file), "--prune", "--yes").stdout
    assert {(row["endpoint"], row["name"]) for row in enopax.json("list")} == {("example", "two"), ("git-repo", "site")}
    begun = enopax.json("provision", "example", "slow", "--delay", "60", "--no-wait")["operation"]
    enopax("operations", "cancel", begun)
    enopax("operations", "watch", begun, status=6)
    file.write_text("resources:\n- {endpoint: example, name: slow, delay: 0}\n- {endpoint: example, name: two}\n")
    assert "~ example slow (The operation was cancelled.)" in enopax("apply", "-f", str(file), "--yes").stdout
    assert enopax.json("show", "example", "slow")["status"] == "active"
    file.write_text("resources:\n- {endpoint: example, name: one}\n- {endpoint: example, name: three, delay: 61}\n")
    assert "/resources/1/delay: This must be at most 60." in enopax("apply", "-f", str(file), "--yes", status=1).stderr
    file.write_text("resources:\n- {endpoint: exampel, name: one}\n")
    assert "did you mean example?" in enopax("apply", "-f", str(file), status=1).stderr
    file.write_text("resources:\n- {name: one}\nother: 1\n")
    refused = enopax("apply", "-f", str(file), "--yes", status=1).stderr
    assert "/other" in refused
    assert "/resources/0" in refused
