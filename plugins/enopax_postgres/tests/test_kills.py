"""A database while what keeps it alive is killed: nothing acknowledged is lost, nothing orphaned, all comes back by itself."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from plugins.enopax_postgres.tests.writing import TABLE, Writer
from psycopg.conninfo import conninfo_to_dict
from tests.acceptance.lampkit import House
from tests.acceptance.serverkit import Server, eventually

PLACE = {"organisationName": "Acme", "projectName": "Web"}
WHERE = {"org": "Acme", "project": "Web"}
ENDED = {"succeeded", "failed", "cancelled"}
PATIENCE = 300.0  # seconds until something that must happen is called missing
AHEAD = 1_000_000
"""Between the numbers of two writers."""


@pytest.fixture
def house(data_dir: Path) -> Iterator[House]:
    """A server, and what is found of its services from outside; nothing of either is left afterwards."""
    house = House(Server(data_dir, ENOPAX_POSTGRES_SPARES="0"))
    try:
        house.server.start()
        yield house
    finally:
        house.server.close()
        house.kill_everything()


class Trouble:
    """Kills, at moments that the writers' progress decides, what the database needs."""

    def __init__(self, house: House, id: str, chance: random.Random) -> None:
        self._house, self._id, self._chance = house, id, chance

    def incidents(self) -> list[Callable[[], None]]:
        """Each kind once, in random order."""
        kinds = [self.server, self.primary_or_replica, self.primary_or_replica, self.pooler, self.supervisord, self.everything]
        self._chance.shuffle(kinds)
        return [*kinds, self.server_that_fails_over]

    def server(self) -> None:
        """The API server, which nothing else needs."""
        self._house.server.kill()
        self._house.server.start()

    def primary_or_replica(self) -> None:
        """A postmaster."""
        homes = sorted(self._house.server.data_dir.glob(f"services/{self._id}.postgres*"))
        file = self._chance.choice(homes) / "data" / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it is just being started
            os.kill(int(file.read_text().split()[0]), signal.SIGKILL)

    def pooler(self) -> None:
        """PgBouncer."""
        for pid in self._house.lamps().get(f"{self._id}.pgbouncer", []):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def supervisord(self) -> None:
        """What starts the others again."""
        self._house.kill_supervisord()

    def everything(self) -> None:
        """As a power cut does."""
        self._house.kill_everything()
        self._house.server.start()

    def server_that_fails_over(self) -> None:
        """The API server, while it makes the replica the primary."""
        answer = self._house.server.api.post(f"/v1/postgres/{self._id}/failover", headers={"Prefer": "respond-async"})
        assert answer.status_code == 202, answer.text
        operation = f"/v1/operations/{answer.json()['operation']}"
        percent = self._chance.choice((0, 40, 60))
        eventually("it has begun", lambda: self._house.server.api.get(operation).json()["progress"]["percent"] >= percent)
        self._house.server.kill()
        self._house.server.start()
        eventually("it has ended", lambda: self._house.server.api.get(operation).json()["state"] in ENDED, PATIENCE)
        assert self._house.server.api.get(operation).json()["state"] == "succeeded"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_whatever_is_killed_no_acknowledged_row_is_lost_and_all_comes_back(house: House) -> None:
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    body = {"name": "orders", **PLACE, "plan": "postgres-medium", "synchronous": True}
    made = house.server.api.post("/v1/postgres", json=body, headers={"Prefer": "wait=60"})
    assert made.status_code == 201, made.text
    id, credentials, connection = made.json()["id"], made.json()["credentials"], made.json()["connection"]
    house.server.ports = (int(house.server.url.rpartition(":")[2]), 0)
    before, homes = house.lamps().keys(), homes_of(house)
    with psycopg.connect(credentials["url"], autocommit=True) as first:
        first.execute(TABLE)
    ways = [name for name in ("direct", "pooler") if name in connection]  # there may be no PgBouncer on this machine
    ports = [conninfo_to_dict(connection[way])["port"] for way in ways]
    writers = [Writer(credentials["url"], AHEAD * number, port=port, prepare_threshold=None) for number, port in enumerate(ports)]
    trouble, struck = Trouble(house, id, chance), list[str]()
    with ThreadPoolExecutor() as pool, contextlib.ExitStack() as stack:
        for writer in writers:
            pool.submit(writer.run)
            stack.callback(writer.end)
        for incident in trouble.incidents():
            more(writers, chance.randrange(1, 100), struck)
            struck.append(incident.__name__)
            incident()
        more(writers, 50, struck)
    with psycopg.connect(credentials["url"]) as last:
        there = [number for (number,) in last.execute("SELECT i FROM t")]
    assert {number for writer in writers for number in writer.acknowledged} - set(there) == set(), struck
    assert len(there) == len(set(there))
    eventually(f"each service runs once, supervised ({struck})", lambda: mains(house) == dict.fromkeys(before, 1))
    quiet(house)
    shown: dict[str, Any] = house.server.api.patch(f"/v1/postgres/{id}", json={}, headers={"Prefer": "wait=60"}).json()
    assert shown["status"] == "active", shown
    assert homes_of(house) == homes


def more(writers: list[Writer], count: int, struck: list[str]) -> None:
    """Wait until every writer has had so many further rows acknowledged: all of the database is back."""
    for writer in writers:
        wanted = len(writer.acknowledged) + count
        eventually(f"rows are acknowledged again ({struck})", lambda w=writer, n=wanted: w.wrote(n), PATIENCE)


def quiet(house: House) -> None:
    """Wait until no operation waits or runs."""

    def ended() -> bool:
        found = house.server.api.get("/v1/operations", params=WHERE).json()["operations"]
        return all(operation["state"] in ENDED for operation in found)

    eventually("every operation has ended", ended, PATIENCE)


def homes_of(house: House) -> set[str]:
    """Directories of services."""
    return {path.name for path in house.server.data_dir.glob("services/*")}


def mains(house: House) -> dict[str, int]:
    """How many processes of each service nobody but supervisord has started."""
    found = house.lamps()
    every, supervisord = {pid for pids in found.values() for pid in pids}, house.supervisord
    counted = {}
    for service, pids in found.items():
        parents = [parent for pid in pids if (parent := parent_of(pid)) is not None and parent not in every]
        counted[service] = len(parents) if set(parents) <= {supervisord} else -1
    return counted


def parent_of(pid: int) -> int | None:
    """Process id of a process's parent; None: it has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return None
