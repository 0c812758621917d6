"""Customers at work while the server is killed, frozen and stopped at random moments: nothing accepted is lost or doubled."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.chaoskit import EXAMPLE, GIT, Customer, Wanted
from tests.acceptance.gitkit import Person
from tests.acceptance.repositories import Repository, create
from tests.acceptance.serverkit import Server, eventually

CUSTOMERS, SECONDS, ENOUGH = 4, 30.0, 100
WHERE = {"org": "Acme", "project": "Chaos", "page_size": "1000"}
ENDED = {"succeeded", "failed", "cancelled"}


class Trouble:
    """Does to the server what happens to servers."""

    def __init__(self, server: Server, seed: int) -> None:
        self._server, self._random = server, random.Random(seed)
        self.incidents: Counter[str] = Counter()

    def strike(self) -> None:
        """One incident; afterwards it runs again."""
        incident: Callable[[], None] = self._random.choice(
            (self._kill, self._kill, self._kill_twice, self._freeze, self._stop, self._kill_ssh)
        )
        self.incidents[incident.__name__.lstrip("_")] += 1
        incident()

    def pause(self) -> float:
        """Seconds of peace."""
        return self._random.choice((0.05, 0.2, 0.5, 1.0, 2.0)) * self._random.random()

    def _kill(self) -> None:
        self._server.kill()
        self._server.start()

    def _kill_twice(self) -> None:
        """And again while it starts."""
        self._server.kill()
        self._server.spawn()
        time.sleep(self._random.uniform(0.1, 0.7))
        self._server.kill()
        self._server.start()

    def _freeze(self) -> None:
        self._server.send(signal.SIGSTOP)
        time.sleep(self._random.uniform(0.1, 1.5))
        self._server.send(signal.SIGCONT)

    def _stop(self) -> None:
        assert self._server.stop() == 0
        self._server.start()

    def _kill_ssh(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._server.ssh_child(), signal.SIGKILL)


class Pusher:
    """Pushes one commit after the other, and knows which ones the server has acknowledged."""

    def __init__(self, person: Person, repository: Repository) -> None:
        self.person, self.repository, self.acknowledged = person, repository, 0
        self._tree = person.work_tree("pushed")

    def push(self) -> None:
        """One more, by either transport."""
        self.person.commit(self._tree, {"now": f"{time.monotonic_ns()}\n"})  # new too where the push before was not acknowledged
        address = self.repository.ssh if self.acknowledged % 2 else self.repository.signed_in
        if self.person.try_git("push", "--quiet", address, "main", cwd=self._tree).returncode == 0:
            self.acknowledged += 1
            self._last = self.person.git("rev-parse", "main", cwd=self._tree).stdout.strip()

    def check(self) -> None:
        """Everything acknowledged is there and whole."""
        assert self.acknowledged
        self.person.git("clone", "--quiet", "--mirror", self.repository.ssh, "mirror.git")
        mirror = self.person.home / "mirror.git"
        self.person.git("fsck", "--strict", "--full", cwd=mirror)
        self.person.git("merge-base", "--is-ancestor", self._last, "main", cwd=mirror)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_nothing_that_was_accepted_is_lost_or_doubled(server: Server, person: Callable[[str], Person]) -> None:
    seed = int(os.environ.get("CHAOS_SEED", "0")) or random.randrange(1, 1 << 32)
    print(f"CHAOS_SEED={seed}")
    ann = person("ann")
    server.ports = (int(server.url.rpartition(":")[2]), server.ssh_port)  # customers come back to where they were
    pusher = Pusher(ann, create(server, "pushed", ann))
    key = server.api.headers["x-api-key"]
    customers = [Customer(number, seed, server.url, key, ann.public_key) for number in range(CUSTOMERS)]
    trouble, over = Trouble(server, seed), threading.Event()

    def until_over(act: Callable[[], None]) -> None:
        while not over.is_set():
            act()

    def enough() -> bool:
        return bool(pusher.acknowledged) and sum(len(customer.exchanges) for customer in customers) > ENOUGH

    with ThreadPoolExecutor() as pool:
        work = [pool.submit(until_over, act) for act in (*(customer.act for customer in customers), pusher.push)]
        try:
            end = time.monotonic() + SECONDS  # or later, on a machine on which too little would have been done by then
            while (time.monotonic() < end or not enough()) and not any(one.done() for one in work):
                time.sleep(trouble.pause())
                trouble.strike()
        finally:
            over.set()
        for one in work:
            one.result()

    for customer in customers:
        customer.close()
    counts = Counter(exchange.method for customer in customers for exchange in customer.exchanges)
    print(f"incidents: {dict(trouble.incidents)}; accepted: {dict(counts)}; pushes: {pusher.acknowledged}")
    assert eventually(
        "all operations end", lambda: all(one["state"] in ENDED for one in _pages(server, "/v1/operations", "operations"))
    )
    _check_operations(server, customers)
    _check_resources(server, [resource for customer in customers for resource in customer.resources], ann)
    _check_replays(server, customers)
    pusher.check()
    assert server.stop() == 0
    with contextlib.closing(sqlite3.connect(server.data_dir / "ledger.sqlite3")) as ledger:
        assert ledger.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert ledger.execute("PRAGMA foreign_key_check").fetchall() == []
    assert "Traceback" not in server.said()


def _pages(server: Server, path: str, what: str, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    token = ""
    while True:
        page = server.api.get(path, params={**WHERE, **query, **({"page_token": token} if token else {})}).json()
        found += page[what]
        token = page.get("nextPageToken", "")
        if not token:
            return found


def _check_operations(server: Server, customers: list[Customer]) -> None:
    """Every accepted change has ended well, or was cancelled by a deletion that came after it."""
    listed = {one["id"]: one for one in _pages(server, "/v1/operations", "operations")}
    for customer in customers:
        for exchange in customer.exchanges:
            operation = exchange.answer.json().get("operation")
            if exchange.answer.status_code == 202 and operation is not None:
                assert operation in listed, exchange
    failed = [one for one in listed.values() if one["state"] == "failed"]
    assert failed == []
    assert {one["type"] for one in listed.values() if one["state"] == "cancelled"} <= {"provision", "update", "restore"}


def _check_resources(server: Server, wanted: list[Wanted], ann: Person) -> None:
    """The API, the disk and Git's clients agree with what the customers were told."""
    ids = [resource.id for resource in wanted]
    assert len(ids) == len(set(ids))
    for endpoint in (EXAMPLE, GIT):
        of_endpoint = [resource for resource in wanted if resource.endpoint == endpoint]
        live = {one["id"]: one for one in _pages(server, endpoint, "resources")}
        assert len({one["name"] for one in live.values()}) == len(live)
        assert {one["status"] for one in live.values()} <= {"active"}
        deleted = {one["id"]: one for one in _pages(server, endpoint, "resources", status="deleted")}
        assert {one["status"] for one in deleted.values()} <= {"deleted"}
        assert {one.id: one.name for one in of_endpoint if one.live} == {id: one["name"] for id, one in live.items()}
        assert {one.id for one in of_endpoint if not one.live} == set(deleted)
    _check_disk(server, wanted)
    for resource in wanted:
        found = server.api.get(f"{resource.endpoint}/{resource.id}").json()
        config = {name: value for name, value in resource.config.items() if name != "sshKeys"}
        assert config.items() <= found["config"].items() or not resource.live, found
        if resource.endpoint == GIT:
            reached = ann.try_git("ls-remote", found["connection"]["ssh"]).returncode == 0 if resource.live else True
            assert reached, found


def _check_disk(server: Server, wanted: list[Wanted]) -> None:
    files = {path.stem: path.read_text() for path in (server.data_dir / "example").glob("*.txt")}
    assert files == {one.id: one.config["message"] for one in wanted if one.endpoint == EXAMPLE and one.live}
    repositories = _repositories(server.data_dir / "git")
    pushed = {id for id in repositories if "-pushed-" in id}
    live = {one.id for one in wanted if one.endpoint == GIT and one.live}
    kept = {one.id for one in wanted if one.endpoint == GIT and not one.live and one.restorable}
    cancelled = {one.id for one in wanted if one.endpoint == GIT and not one.live and not one.restorable}
    assert live | kept <= repositories
    assert repositories <= live | kept | cancelled | pushed, "repositories that belong to nobody"


def _repositories(root: Path) -> set[str]:
    return {path.name.removesuffix(".git") for path in root.rglob("*.git") if path.is_dir()}


def _check_replays(server: Server, customers: list[Customer]) -> None:
    """Every request, sent once more, gets the answer that it got."""
    for customer in customers:
        for exchange in customer.exchanges:
            again = server.api.request(exchange.method, exchange.path, json=exchange.body, headers=exchange.headers)
            assert (again.status_code, again.json()) == (exchange.answer.status_code, exchange.answer.json())
