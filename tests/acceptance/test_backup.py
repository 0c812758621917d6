"""Backups of a server that is used, restored and used in turn by real Git clients; and backups that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from tests.acceptance import repositories
from tests.acceptance.chaoskit import EXAMPLE, GIT, PLACE, Customer
from tests.acceptance.dam import Dam
from tests.acceptance.gitkit import Person
from tests.acceptance.repositories import Repository
from tests.acceptance.serverkit import PATIENCE, Server, eventually, serving
from tests.acceptance.test_cli import ENOPAX

WHERE = {"org": PLACE["organisationName"], "project": PLACE["projectName"], "page_size": "1000"}


def enopax(*arguments: object, status: int = 0, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command, which must end with this status."""
    ended = subprocess.run(
        [*ENOPAX, *map(str, arguments)],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == status, f"{arguments}: {ended.returncode} {ended.stdout} {ended.stderr}"
    assert "Traceback" not in ended.stderr
    return ended


def resources(server: Server, endpoint: str) -> list[dict[str, Any]]:
    """The live resources of the load."""
    answer = server.api.get(endpoint, params=WHERE)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["resources"]
    return found


class Load:
    """Customers who change what they have, and somebody who pushes, until the end of the block."""

    def __init__(self, server: Server, person: Person, repository: Repository) -> None:
        self._stop = threading.Event()
        self._failures: list[BaseException] = []
        self.pushed = 0
        key = Path(server.announced["owner_key_file"]).read_text().strip()
        self._customers = [Customer(number, 7, server.url, key, person.public_key) for number in range(2)]
        self._person, self._repository = person, repository
        self._threads = [threading.Thread(target=self._until_stopped, args=(one.act,)) for one in self._customers]
        self._tree = person.work_tree("busy")
        self._threads.append(threading.Thread(target=self._until_stopped, args=(self._push,)))

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for customer in self._customers:
            customer.close()
        assert self._failures == []

    def _push(self) -> None:
        self.pushed += 1
        self._person.commit(self._tree, {"file": os.urandom(5000)}, str(self.pushed))
        branches = (f"HEAD:refs/heads/b{self.pushed % 5}", "HEAD:main")
        self._person.git("push", "--quiet", self._repository.ssh, *branches, cwd=self._tree)

    def _until_stopped(self, act: Callable[[], None]) -> None:
        try:
            while not self._stop.is_set():
                act()
        except BaseException as error:
            self._failures.append(error)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_backup_made_under_load_is_restored_and_used_with_git(
    server: Server, person: Callable[[str], Person], tmp_path: Path
) -> None:
    alice = person("alice")
    busy = repositories.create(server, "busy", alice)
    quiet = repositories.create(server, "quiet", alice)
    tree = alice.work_tree("quiet", {"a": "1"})
    alice.git("push", "--quiet", quiet.ssh, "main", cwd=tree)
    archives = [tmp_path / f"{number}.tar" for number in range(4)]
    with Load(server, alice, busy) as load:
        for archive in archives:
            before = load.pushed
            eventually("more is pushed", lambda before=before: load.pushed > before + 2)
            enopax("backup", archive, "--data-dir", server.data_dir)
    for archive in archives:
        enopax("restore-backup", archive, "--data-dir", tmp_path / archive.stem)
    server.stop()  # the restored one is at the same place for its users
    port = (urlsplit(server.url).port or 0, server.ssh_port)
    for archive in archives:
        restored = Server(tmp_path / archive.stem)
        restored.ports = port
        try:
            used(restored.start(), alice, busy, quiet, tree)
        finally:
            restored.close()


def used(server: Server, alice: Person, busy: Repository, quiet: Repository, tree: Path) -> None:
    """Everything that the restored server says it has is there and works."""
    for found in resources(server, EXAMPLE):
        if found["status"] == "active":
            assert server.api.get(f"{EXAMPLE}/{found['id']}/metrics").status_code == 200, found
    active = [one for one in resources(server, GIT) if one["status"] == "active"]
    for found in active:
        alice.git("ls-remote", found["access"])
    for directory in (server.data_dir / "git").glob("*/*.git"):
        assert alice.git("fsck", "--full", "--strict", "--no-dangling", cwd=directory).stdout in ("", UNBORN)
    clone = alice.home / f"clone-{server.data_dir.name}"
    alice.git("clone", "--quiet", busy.ssh, str(clone))
    assert alice.git("rev-list", "--count", "HEAD", cwd=clone).stdout.strip() not in ("", "0")
    alice.git("fetch", "--quiet", quiet.signed_in, "main", cwd=tree)
    assert alice.git("rev-parse", "FETCH_HEAD", cwd=tree).stdout == alice.git("rev-parse", "HEAD", cwd=tree).stdout
    alice.commit(clone, {"after": "restored"})
    alice.git("push", "--quiet", "origin", "HEAD", cwd=clone)
    answer = server.api.post(EXAMPLE, json={"name": "after", **PLACE})
    assert answer.status_code == 201, answer.text
    assert server.api.get("/v1/admin/audit/verify").json()["intact"]


UNBORN = "notice: HEAD points to an unborn branch (main)\n"


def test_a_backup_is_made_while_no_server_runs(server: Server, person: Callable[[str], Person], tmp_path: Path) -> None:
    alice = person("alice")
    repository = repositories.create(server, "one", alice)
    tree = alice.work_tree("tree")
    alice.git("push", "--quiet", repository.ssh, "main", cwd=tree)
    ports = (urlsplit(server.url).port or 0, server.ssh_port)
    server.kill()  # as a crash would leave it
    told = json.loads(enopax("backup", tmp_path / "a.tar", "--data-dir", server.data_dir, "--output", "json").stdout)
    assert (told["plugins"], "example" in told["withoutData"]) == (["git"], True)
    anchored = told["anchor"]
    enopax("restore-backup", tmp_path / "a.tar", "--data-dir", tmp_path / "new")
    restored = Server(tmp_path / "new")
    restored.ports = ports
    try:
        restored.start()
        alice.git("clone", "--quiet", repository.ssh, "again")
        assert restored.api.get("/v1/admin/audit/verify", params={"anchor": anchored}).json()["intact"]
    finally:
        restored.close()
    assert alice.git("log", "-1", cwd=alice.home / "again").stdout == alice.git("log", "-1", cwd=tree).stdout


@pytest.fixture
def dam(server: Server) -> Iterator[Dam]:
    """A way to the server that ends after two mebibytes."""
    dam = Dam(server.url, 2 << 20)
    yield dam
    dam.close()


@pytest.fixture
def half_way(server: Server, dam: Dam, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A backup of more than a few mebibytes that has come half the way, and stays there."""
    (server.data_dir / "enopax.toml").write_text("#" * (16 << 20))
    key = Path(server.announced["owner_key_file"]).read_text()
    environ = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    login = [*ENOPAX, "login", dam.url, "--profile", "dammed"]
    subprocess.run(login, input=key, env=environ, text=True, check=True, timeout=PATIENCE, capture_output=True)
    command = [*ENOPAX, "backup", str(tmp_path / "a.tar"), "--profile", "dammed"]
    with subprocess.Popen(command, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert dam.full.wait(PATIENCE)
            eventually("part of it is written", lambda: (tmp_path / "a.tar.part").exists())
            yield process
        finally:
            process.kill()


def test_a_backup_that_is_killed_leaves_no_file_under_its_name(
    server: Server, half_way: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert (server.data_dir / "backup.staging").exists()
    half_way.send_signal(signal.SIGKILL)
    half_way.wait(PATIENCE)
    assert not (tmp_path / "a.tar").exists()
    eventually("the server clears its copies", lambda: not (server.data_dir / "backup.staging").exists())
    enopax("backup", tmp_path / "a.tar", "--data-dir", server.data_dir)
    assert sorted(path.name for path in tmp_path.glob("a.tar*")) == ["a.tar"]


def test_a_backup_whose_server_is_killed_says_so_and_leaves_nothing(
    server: Server, dam: Dam, half_way: subprocess.Popen[str], tmp_path: Path
) -> None:
    server.kill()
    dam.close()
    _, said = half_way.communicate(timeout=PATIENCE)
    assert (half_way.returncode, "cannot be reached" in said) == (7, True), said
    assert not list(tmp_path.glob("a.tar*"))
    server.start()
    assert not (server.data_dir / "backup.staging").exists()


def test_a_full_disk_leaves_no_file(server: Server, tmp_path: Path) -> None:
    (server.data_dir / "enopax.toml").write_text("#" * (4 << 20))
    limited = ["bash", "-c", 'ulimit -f 1024; exec "$@"', "", *ENOPAX, "backup", "a.tar", "--data-dir", str(server.data_dir)]
    ended = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (ended.returncode, "File too large" in ended.stderr) == (1, True), ended.stderr
    assert not list(tmp_path.glob("a.tar*"))


def test_the_archive_is_readable_by_its_owner_alone_and_is_never_replaced(server: Server, tmp_path: Path) -> None:
    enopax("backup", tmp_path / "a.tar", "--data-dir", server.data_dir)
    assert (tmp_path / "a.tar").stat().st_mode & 0o777 == 0o600
    assert "exists: choose another name" in enopax("backup", tmp_path / "a.tar", "--data-dir", server.data_dir, status=5).stderr


def test_where_nothing_is_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    said = enopax("backup", tmp_path / "a.tar", "--data-dir", tmp_path / "nowhere", status=7).stderr
    assert "start one with enopax serve" in said
    assert not list(tmp_path.glob("a.tar*"))


def test_a_damaged_backup_is_refused_and_the_directory_can_be_used(server: Server, tmp_path: Path) -> None:
    enopax("backup", tmp_path / "a.tar", "--data-dir", server.data_dir)
    content = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(content[: len(content) // 2])
    said = enopax("restore-backup", tmp_path / "a.tar", "--data-dir", tmp_path / "new", status=1).stderr
    assert "enopax: This is no backup, or it is damaged" in said or "cut off" in said
    with serving(tmp_path / "new") as fresh:
        assert httpx.get(f"{fresh.url}/readyz").status_code == 200
