"""Which server a command means, and what it opens a resource with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from enopax_core.cli.change import address
from enopax_core.cli.clients import Program, program_for
from enopax_core.cli.profiles import Profile, file_of, load, save
from enopax_core.cli.servers import find
from enopax_core.client import Resource
from enopax_core.errors import Malformed, NotReady, SettingsError, Unauthenticated, Unreachable


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Somebody's environment, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    return {"HOME": str(tmp_path)}


def installation(directory: Path, url: str) -> Path:
    """The data directory of a server that runs in this process."""
    directory.mkdir()
    (directory / "owner.key").write_text("enx_key_owner\n")
    announced = {"url": url, "pid": os.getpid(), "owner_key_file": str(directory / "owner.key")}
    (directory / "server.json").write_text(json.dumps(announced))
    return directory


def test_options_beat_the_environment_beats_the_working_directory_beats_the_default_profile(
    environ: dict[str, str], tmp_path: Path
) -> None:
    save(file_of(environ), "default", Profile(url="http://default", key="d"))
    save(file_of(environ), "work", Profile(url="http://work", key="w"))
    assert find(None, None, environ).url == "http://default"
    installation(tmp_path / "data", "http://here")
    assert find(None, None, environ).url == "http://here"
    environ["ENOPAX_DATA_DIR"] = str(installation(tmp_path / "other", "http://other"))
    assert find(None, None, environ).url == "http://other"
    environ["ENOPAX_PROFILE"] = "work"
    assert find(None, None, environ).url == "http://work"
    assert find(None, Path("data"), environ).url == "http://here"
    assert find("default", None, environ).url == "http://default"
    with pytest.raises(Malformed, match="give one of them"):
        find("default", Path("data"), environ)


def test_a_local_server_is_used_with_the_owners_key(environ: dict[str, str], tmp_path: Path) -> None:
    installation(tmp_path / "data", "http://here")
    found = find(None, None, environ)
    assert (found.key, found.runs) == ("enx_key_owner", True)
    assert "enx_key_owner" not in repr(found)


def test_a_server_that_was_killed_is_known_to_have_been(environ: dict[str, str], tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(60)
    file = installation(tmp_path / "data", "http://here") / "server.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "pid": ended.pid}))
    assert not find(None, None, environ).runs


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"url": 3'])
def test_an_announcement_that_cannot_be_read_is_said_to_be_so(environ: dict[str, str], tmp_path: Path, content: str) -> None:
    (installation(tmp_path / "data", "http://here") / "server.json").write_text(content)
    with pytest.raises(SettingsError, match=r"server\.json cannot be read"):
        find(None, None, environ)


def test_where_there_is_no_server_the_commands_that_help_are_named(environ: dict[str, str]) -> None:
    with pytest.raises(Unreachable, match="enopax serve"):
        find(None, None, environ)
    with pytest.raises(SettingsError, match="enopax login URL --profile nobody"):
        find("nobody", None, environ)


def test_an_error_of_a_server_is_told_with_what_to_do_next(environ: dict[str, str], tmp_path: Path) -> None:
    save(file_of(environ), "work", Profile(url="http://work", key="w"))
    installation(tmp_path / "data", "http://here")
    here, work = find(None, None, environ), find("work", None, environ)
    assert "enopax serve --data-dir data" in here.explained(Unreachable()).message
    assert "owner.key" in here.explained(Unauthenticated()).message
    assert "enopax login http://work --profile work" in work.explained(Unauthenticated()).message
    error = NotReady()
    assert work.explained(error) is error


def test_profiles_are_kept_for_their_owner_alone(environ: dict[str, str]) -> None:
    path = file_of(environ)
    save(path, "work", Profile(url="http://work", key="w", organisation="Acme"))
    save(path, "home", Profile(url="http://home", key="h"))
    assert load(path)["work"] == Profile(url="http://work", key="w", organisation="Acme")
    assert set(load(path)) == {"work", "home"}
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["{", "[]", '{"a": {}}', '{"a": {"url": 1, "key": 2, "other": 3}}'])
def test_profiles_that_cannot_be_read_are_said_to_be_so(environ: dict[str, str], content: str) -> None:
    path = file_of(environ)
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(SettingsError, match="remove it and sign in again"):
        load(path)


# ── Programs that open resources ──────────────────────────────────────────────────────────────────────────────────────

SSH, HTTP = "ssh://git@host:2222/a/b/c.git", "https://host/git/a/b/c.git"
SECRETS = {"username": "git", "token": "hush"}


def program(connection: Mapping[str, str], secrets: Mapping[str, Any] | None = None, **more: Any) -> Program | None:
    """The program for a resource with these addresses; without secrets, it must not ask for any."""

    def read() -> Mapping[str, Any]:
        assert secrets is not None, "the credentials were read, which is audited"
        return secrets

    found = Resource.model_validate({"id": "i", "name": "n", "status": "active", "connection": connection, **more})
    return program_for(found, ["-v"], read, {"GIT_CONFIG_COUNT": "1"})


@pytest.mark.parametrize("ssh", [SSH, "git@host:a/b/c.git"])
def test_a_repository_with_keys_is_cloned_over_ssh(ssh: str) -> None:
    found = program({"http": HTTP, "ssh": ssh}, sshKeys=["k"])
    assert found is not None
    assert found.command == ["git", "clone", ssh, "-v"]


def test_a_repository_without_keys_is_cloned_over_http_with_the_token_in_the_environment() -> None:
    found = program({"ssh": SSH, "http": HTTP}, SECRETS)
    assert found is not None
    assert found.command == ["git", "clone", HTTP, "-v"]
    assert found.environ["GIT_CONFIG_COUNT"] == "2"
    assert found.environ["GIT_CONFIG_KEY_1"] == "credential.https://host.helper"
    assert "hush" not in repr(found)
    asked = subprocess.run(
        ["git", "credential", "fill"],
        input="protocol=https\nhost=host\n\n",
        env={**os.environ, **found.environ, "GIT_CONFIG_KEY_0": "a.b", "GIT_CONFIG_VALUE_0": "c"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "username=git\npassword=hush\n" in asked.stdout


def test_a_database_is_opened_with_the_password_in_the_environment() -> None:
    url = "postgresql://host:5432/app?sslmode=require"
    found = program({"direct": url}, {"username": "ann", "password": "hush", "database": "app", "ca": "PEM"})
    assert found is not None
    assert found.command == ["psql", url, "-v"]
    assert found.environ == {"PGUSER": "ann", "PGPASSWORD": "hush", "PGDATABASE": "app"}
    assert found.files == {"PGSSLROOTCERT": "PEM"}
    assert "hush" not in repr(found)


def test_what_no_known_program_opens_is_told_apart() -> None:
    assert program({"url": "example://x", "site": "https://host/page"}) is None


def test_a_program_reads_files_that_have_no_name() -> None:
    script = (
        "from enopax_core.cli.clients import Program\n"
        "Program(command=['sh', '-c', 'cat $CA; cat $CA'], files={'CA': 'PEM\\n'}).replace_this_process()\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout == "PEM\nPEM\n"


@pytest.mark.parametrize(
    ("connection", "secrets", "uri"),
    [
        ({"http": "http://host/x.git"}, {"username": "git", "token": "a/b"}, "http://git:a%2Fb@host/x.git"),
        ({"direct": "pg://host"}, {"url": "pg://ann:x@host", "password": "x"}, "pg://ann:x@host"),
        ({}, {"username": "ann", "password": "p@ss"}, "s://ann:p%40ss@host"),
    ],
)
def test_an_address_holds_the_secret_as_clients_read_it(
    connection: Mapping[str, str], secrets: Mapping[str, str], uri: str
) -> None:
    assert address(connection, "s://host", secrets) == uri


def test_an_address_that_can_hold_no_secret_is_refused() -> None:
    with pytest.raises(NotReady, match="--format env"):
        address({}, "git@host:x.git", {"token": "hush"})
