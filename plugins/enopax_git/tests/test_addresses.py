"""What clients may say: commands and paths. Everything that is not exactly a Git transfer is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from enopax_core.testing import FakeHost
from enopax_git.processes import Access, command, environment, parse_path, parse_ssh
from enopax_git.service import GitService


@pytest.mark.parametrize(
    "line",
    [
        "git-upload-pack 'acme/web/site.git'",
        "git upload-pack 'acme/web/site.git'",
        "git-upload-pack acme/web/site.git",
    ],
)
def test_a_clone_is_understood(line: str) -> None:
    assert parse_ssh(line) == ("upload-pack", "acme/web/site.git")


@pytest.mark.parametrize(
    "line",
    [
        "git-upload-pack",
        "git-upload-pack 'a/b/c' 'd/e/f'",
        "git-upload-pack --upload-pack=x a/b/c",
        "git-upload-pack 'a/b/c'; id",
        "git-upload-pack 'a/b/c'\nid",
        "git-upload-archive 'a/b/c'",
        "sh -c id",
        "",
    ],
)
def test_anything_else_is_refused(line: str) -> None:
    assert parse_ssh(line) is None


@pytest.mark.parametrize("path", ["/acme/web/site.git", "acme/web/site.git", "acme/web/site", "/acme/web/site.git/"])
def test_a_path_names_organisation_project_and_repository(path: str) -> None:
    assert parse_path(path) == ("acme", "web", "site")


@pytest.mark.parametrize(
    "path",
    ["", "/", "acme", "acme/web", "../web/site", "acme/../site", "acme/web/..", "a/b/c/d", "a/b/-c", "a/b/c\0", "/etc/passwd"],
)
def test_a_path_that_leads_elsewhere_is_none(path: str) -> None:
    assert parse_path(path) is None


@pytest.mark.parametrize(
    ("settings", "host"),
    [
        ({"ssh_host": "0.0.0.0"}, "enopax.example.org"),
        ({"ssh_host": "192.0.2.1"}, "192.0.2.1"),
        ({"ssh_host": "0.0.0.0", "public_host": "git.example.org"}, "git.example.org"),
    ],
)
def test_an_address_names_a_host_that_people_reach(tmp_path: Path, settings: dict[str, str], host: str) -> None:
    lent = FakeHost(tmp_path, settings={"git": settings})
    lent.public_url = "https://enopax.example.org"
    assert GitService(lent).addresses("acme/web/site")["ssh"] == f"ssh://git@{host}:2222/acme/web/site.git"


def test_only_the_protocol_version_of_a_client_reaches_git() -> None:
    access = Access(resource="r", directory=Path("/r.git"), service="upload-pack")
    assert environment(access, "version=2")["GIT_PROTOCOL"] == "version=2"
    assert "GIT_PROTOCOL" not in environment(access, "version=2:$(id)")


def test_a_command_names_the_directory_behind_the_end_of_options() -> None:
    access = Access(resource="r", directory=Path("/r.git"), service="receive-pack", limit=100, used=40)
    line = command(access, Path("/hooks"))
    assert line[-2:] == ["--", "/r.git"]
    assert f"receive.maxInputSize={60 + (1 << 20)}" in line
