"""Services of providers while whatever keeps them alive is killed: nothing runs twice, nothing stays behind, all comes back."""

from __future__ import annotations

import contextlib
import json
import os
import random
import sqlite3
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from tests.acceptance.lampkit import PLACE, House, house_on
from tests.acceptance.serverkit import alive, eventually
from tests.acceptance.test_backup import enopax

SECONDS = 25.0


@pytest.fixture
def house(data_dir: Path) -> Iterator[House]:
    """A server with lamps on a data directory that nobody but its user may enter."""
    data_dir.mkdir(mode=0o700)
    with house_on(data_dir) as house:
        house.server.start()
        yield house


def test_without_services_nothing_is_started_and_nothing_written(house: House) -> None:
    house.server.api.get("/v1/lamp", params={"org": "Acme", "project": "Lamps"})
    assert house.supervisord == 0
    assert not (house.server.data_dir / "runtime").exists()


def test_a_service_runs_though_nobody_else_may_enter_the_data_directory(house: House) -> None:
    pid = house.lit(house.light("one")["access"])
    assert stat.S_IMODE(house.server.data_dir.stat().st_mode) & 0o007 == 0
    if os.geteuid() == 0:
        assert Path(f"/proc/{pid}").stat().st_uid != 0


def test_services_go_on_when_the_server_is_killed_and_are_found_again(house: House) -> None:
    lamp = house.light("one")
    pid, supervisord = house.lit(lamp["access"]), house.supervisord
    house.server.kill()
    assert house.lit(lamp["access"]) == pid
    house.server.start()
    assert house.light("two")["status"] == "active"
    assert (house.lit(lamp["access"]), house.supervisord) == (pid, supervisord)


def test_services_go_on_when_the_server_is_stopped(house: House) -> None:
    lamp = house.light("one")
    pid = house.lit(lamp["access"])
    assert house.server.stop() == 0
    assert house.lit(lamp["access"]) == pid


def test_a_killed_service_is_started_again_though_no_server_runs(house: House) -> None:
    lamp = house.light("one")
    pid = house.lit(lamp["access"])
    house.server.kill()
    house.kill_lamps()
    assert house.lit(lamp["access"], not_pid=pid) != pid


def test_services_are_taken_over_when_supervisord_is_killed(house: House) -> None:
    lamp = house.light("one")
    pid, supervisord = house.lit(lamp["access"]), house.supervisord
    house.kill_supervisord()
    eventually("another supervisord", lambda: house.supervisord not in (0, supervisord))
    house.lit(lamp["access"], not_pid=pid)
    assert [len(pids) for pids in house.lamps().values()] == [1]
    assert house.ran_twice() == []


def test_services_are_taken_over_at_the_next_start_when_supervisord_was_killed_with_the_server(house: House) -> None:
    lamp = house.light("one")
    pid = house.lit(lamp["access"])
    house.server.kill()
    house.kill_supervisord()
    assert house.lit(lamp["access"]) == pid  # it lives on, unsupervised
    house.server.start()
    house.lit(lamp["access"], not_pid=pid)
    assert [len(pids) for pids in house.lamps().values()] == [1]
    assert house.ran_twice() == []


def test_all_come_back_at_the_next_start_after_everything_was_killed(house: House) -> None:
    lamps = [house.light(name) for name in ("one", "two", "three")]
    house.kill_everything()
    house.server.start()
    for lamp in lamps:
        house.lit(lamp["access"])
    assert sorted(len(pids) for pids in house.lamps().values()) == [1, 1, 1]


def test_a_service_that_was_being_removed_when_everything_was_killed_does_not_come_back(house: House) -> None:
    lamp = house.light("one")
    house.server.api.delete(f"/v1/lamp/{lamp['id']}", headers={"Prefer": "respond-async"})
    house.kill_everything()
    house.server.start()
    house.settled()
    eventually("nothing runs", lambda: not house.lamps())
    assert list(house.server.data_dir.glob("services/*")) == []


def orphans(house: House, *options: str) -> list[dict[str, str]]:
    """What the doctor says of them."""
    said = enopax("doctor", "--data-dir", house.server.data_dir, "--output", "json", *options).stdout
    return [one for one in json.loads(said) if one["check"] == "orphans" and one["severity"] != "ok"]


def test_a_service_is_no_orphan_while_its_resource_is_in_creation_though_the_server_is_killed(house: House) -> None:
    body = {"name": "one", "colour": "endless", **PLACE}
    begun = house.server.api.post("/v1/lamp", json=body, headers={"Prefer": "respond-async"}).json()
    pid = eventually("the lamp shines", lambda: house.lamps().get(f"{begun['id']}.lamp"))[0]
    assert orphans(house, "--fix") == []
    house.server.kill()
    house.server.start()
    assert orphans(house, "--fix") == []
    assert house.lamps() == {f"{begun['id']}.lamp": [pid]}
    house.server.api.delete(f"/v1/lamp/{begun['id']}")
    house.settled()
    assert (house.lamps(), orphans(house)) == ({}, [])


def test_a_service_whose_resource_the_ledger_lost_goes_on_until_the_doctor_is_asked_to_mend(house: House) -> None:
    lost, other = house.light("one"), house.light("two")
    pids = [house.lit(lamp["access"]) for lamp in (lost, other)]
    house.server.stop()
    with contextlib.closing(sqlite3.connect(house.server.data_dir / "ledger.sqlite3", isolation_level=None)) as connection:
        connection.execute("DELETE FROM resources WHERE id = ?", (lost["id"],))
    house.server.start()
    (told,) = orphans(house)
    assert f"{lost['id']}.lamp" in told["message"]
    assert [house.lit(lamp["access"]) for lamp in (lost, other)] == pids
    assert orphans(house, "--fix") == []
    assert house.lamps() == {f"{other['id']}.lamp": [pids[1]]}
    assert [path.name for path in house.server.data_dir.glob("services/*")] == [f"{other['id']}.lamp"]


def test_the_last_service_takes_supervisord_with_it_when_the_server_stops(house: House) -> None:
    lamp = house.light("one")
    supervisord = house.supervisord
    house.server.api.delete(f"/v1/lamp/{lamp['id']}")
    assert house.server.stop() == 0
    eventually("supervisord has ended", lambda: not alive(supervisord))


class Trouble:
    """Kills, at random, what runs."""

    def __init__(self, house: House, seed: int) -> None:
        self._house, self._random = house, random.Random(seed)
        self.incidents: Counter[str] = Counter()

    def strike(self) -> None:
        """One incident; afterwards the server runs."""
        incident: Callable[[], None] = self._random.choice(
            (self._server, self._supervisord, self._lamp, self._server_and_supervisord, self._everything)
        )
        self.incidents[incident.__name__.lstrip("_")] += 1
        incident()

    def _server(self) -> None:
        self._house.server.kill()
        self._house.server.start()

    def _supervisord(self) -> None:
        self._house.kill_supervisord()

    def _lamp(self) -> None:
        running = [pid for pids in self._house.lamps().values() for pid in pids]
        if running:
            os.kill(self._random.choice(running), 9)

    def _server_and_supervisord(self) -> None:
        self._house.server.kill()
        self._house.kill_supervisord()
        self._house.server.start()

    def _everything(self) -> None:
        self._house.kill_everything()
        self._house.server.start()


def _customer(house: House, number: int, seed: int, until: float) -> None:
    """Lights, changes and puts out lamps, whoever is killed meanwhile; every request is repeated until it is answered."""
    chance = random.Random(f"{seed}-{number}")
    mine: list[str] = []
    while time.monotonic() < until:
        key = f"{number}-{chance.getrandbits(64):x}"
        choice = chance.random()
        if not mine or (choice < 0.5 and len(mine) < 4):
            body = {"name": key, **PLACE}
            mine.append(_insist(house, "POST", "/v1/lamp", body, key)["id"])
        elif choice < 0.75:
            _insist(house, "PATCH", f"/v1/lamp/{chance.choice(mine)}", {"colour": key}, key)
        else:
            _insist(house, "DELETE", f"/v1/lamp/{mine.pop(chance.randrange(len(mine)))}", None, key)
        time.sleep(chance.random() * 0.5)


def _insist(house: House, method: str, path: str, body: dict[str, str] | None, key: str) -> dict[str, str]:
    headers = {"Idempotency-Key": key, "Prefer": "respond-async"}
    headers["X-API-Key"] = (house.server.data_dir / "owner.key").read_text().strip()
    patience = time.monotonic() + 90
    while time.monotonic() < patience:
        try:
            answer = httpx.request(method, house.server.url + path, json=body, headers=headers, timeout=5)
        except httpx.TransportError:
            time.sleep(0.1)
            continue
        if answer.status_code in (409, 503) and "retry-after" in answer.headers:
            time.sleep(0.1)
            continue
        assert answer.status_code in (200, 201, 202), f"{method} {path}: {answer.status_code} {answer.text}"
        found: dict[str, str] = answer.json()
        return found
    raise AssertionError(f"nobody answers {method} {path}")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_whatever_is_killed_at_random_every_lamp_shines_once_and_nothing_else_runs(house: House) -> None:
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            _customer(house, number, seed, until)
        except BaseException as error:
            failures.append(error)

    house.server.ports = (int(house.server.url.rpartition(":")[2]), 0)  # it comes back at the same address
    until = time.monotonic() + SECONDS
    customers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for customer in customers:
        customer.start()
    trouble, chance = Trouble(house, seed), random.Random(seed)
    while time.monotonic() < until:
        time.sleep(chance.random() * 2)
        trouble.strike()
    for customer in customers:
        customer.join()
    assert failures == []
    statuses = house.settled()
    assert set(statuses.values()) <= {"active", "degraded"}, (statuses, trouble.incidents)
    for id in statuses:
        address = house.address(id)
        house.lit(address)
        assert (house.shines(address) or {})["id"] == id
    expected = {f"{id}.lamp": 1 for id in statuses}
    eventually(
        f"one process for each lamp ({trouble.incidents})",
        lambda: {id: len(pids) for id, pids in house.lamps().items()} == expected,
    )
    assert house.ran_twice() == []
    assert {path.name for path in house.server.data_dir.glob("services/*")} == set(expected)
    assert {path.stem for path in house.server.data_dir.glob("runtime/specifications/*")} == set(expected)
