"""Repositories from the first request to the last byte on the disk, with the installed `git` and `ssh`."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.acceptance.gitkit import Person
from tests.acceptance.repositories import Repository, act, change, create, on_disk
from tests.acceptance.serverkit import PATIENCE, Server, eventually, serving

People = Callable[[str], Person]
GONE = "There is no such repository, or you may not see it."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all of these; each test has repositories of its own."""
    with serving(tmp_path_factory.mktemp("git") / "data") as running:
        yield running


@pytest.fixture
def ann(person: People) -> Person:
    return person("ann")


def filled(server: Server, name: str, owner: Person) -> Repository:
    """A repository with one commit on `main`."""
    repository = create(server, name, owner)
    tree = owner.work_tree(name)
    owner.git("push", "--quiet", repository.ssh, "main", cwd=tree)
    return repository


# ── Pushing, cloning, fetching ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", ["0", "2"])
@pytest.mark.parametrize("transport", ["ssh", "http"])
def test_what_is_pushed_is_cloned_and_fetched(server: Server, ann: Person, transport: str, version: str) -> None:
    repository = create(server, f"tour-{transport}-{version}", ann)
    address = repository.ssh if transport == "ssh" else repository.signed_in
    protocol = ("-c", f"protocol.version={version}")
    tree = ann.work_tree("site")
    ann.git(*protocol, "push", "--quiet", address, "main", "HEAD:refs/tags/v1", cwd=tree)

    ann.git(*protocol, "clone", "--quiet", address, "copy")
    copy = ann.home / "copy"
    assert (copy / "README").read_text() == "Hello.\n"
    assert ann.git("branch", "--show-current", cwd=copy).stdout.strip() == "main"

    ann.commit(tree, {"second": "More.\n"})
    ann.git(*protocol, "push", "--quiet", address, "main", cwd=tree)
    ann.git(*protocol, "fetch", "--quiet", cwd=copy)
    pushed = ann.git("rev-parse", "main", cwd=tree).stdout
    assert ann.git("rev-parse", "origin/main", cwd=copy).stdout == pushed
    listed = ann.git(*protocol, "ls-remote", address).stdout
    assert {line.split("\t")[1] for line in listed.splitlines()} == {"HEAD", "refs/heads/main", "refs/tags/v1"}


@pytest.mark.parametrize("transport", ["ssh", "http"])
def test_many_files_and_large_ones_arrive_as_they_are(server: Server, ann: Person, transport: str) -> None:
    repository = create(server, f"large-{transport}", ann)
    address = repository.ssh if transport == "ssh" else repository.signed_in
    files: dict[str, bytes | str] = {f"file-{number}": f"{number}\n" * 10 for number in range(200)}
    tree = ann.work_tree("large", {**files, "random": os.urandom(12 << 20)})
    ann.git("push", "--quiet", address, "main", cwd=tree)
    ann.git("clone", "--quiet", address, "copy")
    assert ann.git("rev-parse", "HEAD", cwd=ann.home / "copy").stdout == ann.git("rev-parse", "HEAD", cwd=tree).stdout
    ann.git("fsck", "--strict", cwd=ann.home / "copy")
    assert (ann.home / "copy" / "random").read_bytes() == (tree / "random").read_bytes()


def test_shallow_and_partial_clones_are_possible(server: Server, ann: Person) -> None:
    repository = filled(server, "shallow", ann)
    tree = ann.home / "shallow"
    ann.commit(tree, {"second": "More.\n"})
    ann.git("push", "--quiet", repository.ssh, "main", cwd=tree)
    ann.git("clone", "--quiet", "--depth", "1", repository.ssh, "one")
    assert ann.git("rev-list", "--count", "HEAD", cwd=ann.home / "one").stdout.strip() == "1"
    ann.git("clone", "--quiet", "--filter=blob:none", "--no-checkout", repository.signed_in, "partial")
    assert ann.git("rev-list", "--count", "HEAD", cwd=ann.home / "partial").stdout.strip() == "2"


def test_head_follows_the_default_branch(server: Server, ann: Person) -> None:
    repository = create(server, "branches", ann, defaultBranch="trunk")
    tree = ann.work_tree("branches", branch="trunk")
    ann.git("push", "--quiet", repository.ssh, "trunk", "trunk:refs/heads/other", cwd=tree)
    ann.git("clone", "--quiet", repository.ssh, "first")
    assert ann.git("branch", "--show-current", cwd=ann.home / "first").stdout.strip() == "trunk"

    change(server, repository, defaultBranch="other")
    ann.git("clone", "--quiet", repository.ssh, "second")
    assert ann.git("branch", "--show-current", cwd=ann.home / "second").stdout.strip() == "other"


def test_metrics_count_what_was_pushed(server: Server, ann: Person) -> None:
    repository = filled(server, "measured", ann)
    found = act(server, "GET", repository, "/metrics")["metrics"]
    assert (found["commits"]["value"], found["branches"]["value"]) == (1, 1)
    assert found["size"]["value"] > 0
    assert found["last_push"]["value"] > 0
    exposed = server.api.get("/metrics").text
    assert 'enopax_git_transfers_total{result="ok",service="receive-pack",transport="ssh"}' in exposed


# ── Who may ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_reaches_the_repositories_that_name_it_and_no_others(server: Server, person: People) -> None:
    ann, bob = person("ann"), person("bob")
    hers = filled(server, "hers", ann)
    his = create(server, "his", bob, organisation="Globex")
    assert GONE in bob.refused("ls-remote", hers.ssh)
    assert GONE in bob.refused("ls-remote", hers.ssh.replace("hers", "missing"))
    assert GONE in ann.refused("push", "--quiet", his.ssh, "main", cwd=ann.home / "hers")
    assert ann.git("ls-remote", hers.ssh).stdout


def test_a_key_that_no_repository_names_is_not_let_in(server: Server, person: People) -> None:
    repository = filled(server, "closed", person("ann"))
    said = person("eve").refused("ls-remote", repository.ssh)
    assert "Permission denied (publickey)" in said


def test_http_wants_the_token_of_that_repository(server: Server, ann: Person) -> None:
    one, other = filled(server, "one", ann), create(server, "other", ann)
    assert "could not read Username" in ann.refused("ls-remote", one.http)
    wrong = one.http.replace("://", f"://git:{other.token}@")
    assert "not found" in ann.refused("ls-remote", wrong)
    forged = one.http.replace("://", f"://git:{one.token[:-1]}{'A' if one.token[-1] != 'A' else 'B'}@")
    assert "Authentication failed" in ann.refused("ls-remote", forged)


def test_keys_take_effect_with_the_answer_that_accepts_them(server: Server, person: People) -> None:
    ann, bob = person("ann"), person("bob")
    repository = filled(server, "keys", ann)
    change(server, repository, sshKeys=[ann.public_key, bob.public_key])
    assert bob.git("ls-remote", repository.ssh).stdout
    change(server, repository, sshKeys=[bob.public_key])
    assert bob.git("ls-remote", repository.ssh).stdout
    assert "Permission denied (publickey)" in ann.refused("ls-remote", repository.ssh)


def test_a_session_ends_when_its_key_is_removed(server: Server, person: People) -> None:
    ann, bob = person("ann"), person("bob")
    repository = filled(server, "session", ann)
    change(server, repository, sshKeys=[ann.public_key, bob.public_key])
    with bob.session(server.ssh_port, f"git-upload-pack '{repository.path}'") as running:
        assert running.stdout is not None
        assert running.stdout.read(4)  # the references: Git now waits to hear what is wanted
        with ann.session(server.ssh_port, f"git-upload-pack '{repository.path}'") as hers:
            assert hers.stdout is not None
            assert hers.stdout.read(4)
            change(server, repository, sshKeys=[ann.public_key])
            assert eventually("the session ends", lambda: running.poll() is not None, 10)
            assert running.returncode != 0
            assert hers.poll() is None


def test_a_new_token_voids_the_old_one(server: Server, ann: Person) -> None:
    repository = filled(server, "rotated", ann)
    assert ann.git("ls-remote", repository.signed_in).stdout
    token = act(server, "POST", repository, "/credentials/rotate")["credentials"]["token"]
    assert token != repository.token
    assert "Authentication failed" in ann.refused("ls-remote", repository.signed_in)
    assert ann.git("ls-remote", repository.signed_in.replace(repository.token, token)).stdout
    assert act(server, "GET", repository, "/credentials")["credentials"]["token"] == token


# ── A repository's life ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_renamed_repository_answers_at_its_new_address_alone(server: Server, ann: Person) -> None:
    repository = filled(server, "before", ann)
    found = change(server, repository, name="after")
    assert found["connection"]["ssh"] == repository.ssh.replace("before", "after")
    assert found["access"] == found["connection"]["ssh"]
    assert ann.git("ls-remote", found["connection"]["ssh"]).stdout
    assert ann.git("ls-remote", repository.signed_in.replace("before.git", "after.git")).stdout
    assert GONE in ann.refused("ls-remote", repository.ssh)
    assert "not found" in ann.refused("ls-remote", repository.signed_in)


def test_a_deleted_repository_is_refused_at_once_and_comes_back_whole(server: Server, ann: Person) -> None:
    repository = filled(server, "phoenix", ann)
    listed = ann.git("ls-remote", repository.ssh).stdout
    act(server, "DELETE", repository)
    assert GONE in ann.refused("ls-remote", repository.ssh)
    assert "not found" in ann.refused("ls-remote", repository.signed_in)
    assert act(server, "GET", repository)["status"] == "deleted"
    assert on_disk(server, repository)

    assert act(server, "POST", repository, "/restore")["status"] == "active"
    assert ann.git("ls-remote", repository.ssh).stdout == listed
    assert ann.git("ls-remote", repository.signed_in).stdout == listed


def test_the_name_of_a_deleted_repository_is_free_at_once(server: Server, ann: Person) -> None:
    old = filled(server, "reused", ann)
    act(server, "DELETE", old)
    new = create(server, "reused", ann)
    assert new.id != old.id
    assert ann.git("ls-remote", new.ssh).stdout == ""  # nothing of the old one shows through
    act(server, "POST", old, "/restore", status=409)


def test_a_purge_frees_the_disk(server: Server, ann: Person) -> None:
    repository = filled(server, "purged", ann)
    act(server, "DELETE", repository)
    act(server, "DELETE", repository, "?purge=true")
    assert on_disk(server, repository) == []
    act(server, "GET", repository, status=404)
    assert "Permission denied" in ann.refused("ls-remote", repository.ssh)


# ── What a repository may hold ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose repositories hold 1 MiB."""
    with serving(tmp_path_factory.mktemp("small") / "data", ENOPAX_GIT_FREE_BYTES=str(1 << 20)) as running:
        yield running


@pytest.mark.parametrize("transport", ["ssh", "http"])
@pytest.mark.parametrize(("size", "words"), [(1 << 20, "Enopax: this push is refused"), (4 << 20, "maximum allowed size")])
def test_a_push_beyond_the_limit_is_refused_in_words_and_leaves_nothing(
    small: Server, ann: Person, transport: str, size: int, words: str
) -> None:
    repository = create(small, f"limit-{transport}-{size}", ann)
    address = repository.ssh if transport == "ssh" else repository.signed_in
    tree = ann.work_tree("limit", {"half": os.urandom(500 << 10)})
    ann.git("push", "--quiet", address, "main", cwd=tree)
    before, held = ann.git("ls-remote", address).stdout, _bytes(small, repository)

    ann.commit(tree, {"more": os.urandom(size)})
    said = ann.refused("push", address, "main", cwd=tree)
    assert words in said
    assert ann.git("ls-remote", address).stdout == before
    assert _bytes(small, repository) == held

    ann.git("reset", "--quiet", "--hard", "HEAD~1", cwd=tree)
    ann.commit(tree, {"little": os.urandom(10 << 10)})
    ann.git("push", "--quiet", address, "main", cwd=tree)


@pytest.mark.parametrize("transport", ["ssh", "http"])
def test_a_corrupt_object_is_refused(server: Server, ann: Person, transport: str) -> None:
    repository = create(server, f"corrupt-{transport}", ann)
    address = repository.ssh if transport == "ssh" else repository.signed_in
    tree = ann.work_tree("corrupt")
    found = ann.git("rev-parse", "HEAD^{tree}", cwd=tree).stdout.strip()
    commit = tree / "commit"
    commit.write_text(f"tree {found}\nauthor Nobody <> yesterday\ncommitter Nobody <> yesterday\n\nBroken.\n")
    broken = ann.git("hash-object", "-t", "commit", "-w", "--literally", str(commit), cwd=tree).stdout.strip()
    said = ann.refused("push", address, f"{broken}:refs/heads/broken", cwd=tree)
    assert "badDate" in said
    assert ann.git("ls-remote", address).stdout == ""


def _bytes(server: Server, repository: Repository) -> int:
    return sum(path.stat().st_size for root in on_disk(server, repository) for path in root.rglob("*") if path.is_file())


# ── What clients may say ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "line",
    [
        "git-upload-pack --help",
        "git-upload-pack '--upload-pack=id'",
        "git-upload-pack 'PATH' --timeout=1",
        "git-upload-pack --strict 'PATH'",
        "git-upload-pack 'PATH' 'PATH'",
        "git-upload-pack 'PATH'; id",
        "git-upload-pack 'PATH' && id",
        "git-upload-pack $(id)",
        "git-upload-pack '/etc'",
        "git-upload-pack '../../../../etc'",
        "git-upload-pack 'acme/web/../web/closed.git'",
        "git-upload-pack 'acme/web/.'",
        "git-upload-archive 'PATH'",
        "git-shell -c id",
        "git-receive-pack",
        "git --version",
        "GIT_DIR=/tmp git-upload-pack 'PATH'",
        "id",
        "sh",
        "scp -f /etc/passwd",
        "rsync --server --sender . /etc",
        "\u202egit-upload-pack 'PATH'",
    ],
)
def test_a_command_that_is_no_transfer_is_refused(server: Server, hostile: tuple[Person, Repository], line: str) -> None:
    eve, repository = hostile
    ended = eve.ssh(server.ssh_port, line.replace("PATH", repository.path))
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert ended.stderr.startswith("Enopax: ")
    assert "uid=" not in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.fixture(scope="module")
def hostile(server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Person, Repository]:
    """Somebody who has signed in with a good key, and tries what else goes."""
    eve = Person(tmp_path_factory.mktemp("people") / "eve")
    return eve, filled(server, "hostile", eve)


def test_without_a_command_there_is_a_greeting_and_no_shell(server: Server, hostile: tuple[Person, Repository]) -> None:
    ended = hostile[0].ssh(server.ssh_port)
    assert ended.returncode != 0
    assert "has no shell" in ended.stderr


def test_no_terminal_no_forwarding_no_files_and_no_other_user(server: Server, hostile: tuple[Person, Repository]) -> None:
    eve, _ = hostile
    assert "PTY allocation request failed" in eve.ssh(server.ssh_port, "-tt").stderr
    sftp = eve.ssh(server.ssh_port, "-s", "sftp")
    assert sftp.returncode != 0
    assert sftp.stdout == ""
    assert "Permission denied" in eve.ssh(server.ssh_port, user="root").stderr
    forward = eve.ssh(server.ssh_port, "-W", "127.0.0.1:22")
    assert forward.returncode != 0
    assert "forwarding failed" in forward.stderr


def test_variables_of_a_client_do_not_reach_git(server: Server, hostile: tuple[Person, Repository], tmp_path: Path) -> None:
    eve, repository = hostile
    trap = tmp_path / "trace"
    for name, value in {
        "GIT_TRACE": str(trap),
        "GIT_TRACE2": str(trap),
        "GIT_CONFIG_COUNT": "1",
        "GIT_PROTOCOL": f"version=2:$(touch {trap})",
        "LD_PRELOAD": str(trap),
        "GIT_NAMESPACE": "elsewhere",
    }.items():
        options = ("-o", f"SetEnv={name}='{value}'", f"git-upload-pack '{repository.path}'")
        ended = eve.ssh(server.ssh_port, *options[:2], options[2])
        assert "refs/heads/main" in ended.stdout, (name, ended.stderr)
    assert not trap.exists()


@pytest.mark.parametrize(
    "path",
    [
        "/git/acme/web/hostile.git/HEAD",
        "/git/acme/web/hostile.git/objects/info/packs",
        "/git/acme/web/hostile.git/config",
        "/git/acme/web/hostile.git/info/refs",
        "/git/acme/web/hostile.git/info/refs?service=git-upload-archive",
        "/git/acme/web/..%2f..%2fhostile.git/info/refs?service=git-upload-pack",
        "/git/../../etc/passwd",
        "/git//etc/passwd/info/refs?service=git-upload-pack",
    ],
)
def test_an_address_that_is_no_transfer_is_refused(server: Server, hostile: tuple[Person, Repository], path: str) -> None:
    _, repository = hostile
    answer = server.api.get(path, auth=("git", repository.token), headers={"X-API-Key": ""})
    assert answer.status_code in (401, 403, 404), answer.text
    assert "root:" not in answer.text
    assert str(server.data_dir) not in answer.text


def test_the_answer_to_a_push_over_http_waits_until_the_push_is_in(server: Server) -> None:
    """nginx sends no more of a request once its answer has begun."""
    repository = create(server, "patient")
    address = urlsplit(repository.http)
    basic = base64.b64encode(f"git:{repository.token}".encode()).decode()
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=PATIENCE) as client:
        client.sendall(
            f"POST {address.path}/git-receive-pack HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {basic}\r\n"
            "Content-Type: application/x-git-receive-pack-request\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n00\r\n".encode()
        )
        client.settimeout(0.5)  # an answer that begins too early comes within some 20 ms
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(PATIENCE)
        client.sendall(b"2\r\n00\r\n0\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
