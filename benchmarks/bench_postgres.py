"""Databases against plain PostgreSQL of the same version: from POST to a login, pgbench, memory, twenty at once."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil
import psycopg
from common import Line, Server, folder, median_ms, report, server, timed
from plain_postgres import PlainPostgres, postmaster
from psycopg.conninfo import conninfo_to_dict

from enopax_postgres.installations import Installation, Installations
from enopax_postgres.parameters import parameters
from enopax_postgres.plans import plans, size_of

TURNS, MANY = 7, 20
ROUNDS, SECONDS, SCALE, CLIENTS = 7, 2, 10, 8
MODES = {"TPC-B": "tpcb-like", "SELECT": "select-only"}
ARCHIVE = ("archive_mode", "archive_timeout", "summarize_wal", "wal_summary_keep_time", "max_slot_wal_keep_size")
"""What plain PostgreSQL goes without: nobody backs it up."""
AIMS = {"direct": 0.95, "pooler": 0.7}


def main() -> None:
    """Measure and report."""
    installation = Installations("", os.environ.get("PATH", "")).get("default")
    print(f"PostgreSQL {installation.version}; load of the machine before: {os.getloadavg()[0]:.1f}")
    lines: list[Line] = []
    for spares in (0, 1):
        os.environ["ENOPAX_POSTGRES_SPARES"] = str(spares)
        with folder() as root, server(root / "data") as running:
            root.chmod(0o711)
            bench = Bench(root, running, installation)
            try:
                if spares:
                    lines += bench.creation("POST to the first login, a spare runs", 0.2, bench.await_spare)
                else:
                    lines += bench.throughput()
                    lines += bench.creation("POST to the first login", 1.2)
                    lines += [*bench.memory(), *bench.many()]
            finally:
                bench.purge()
    report("postgres", lines)


class Bench:
    """The databases that are measured."""

    def __init__(self, root: Path, running: Server, installation: Installation) -> None:
        self._root, self._running, self._installation = root, running, installation
        self._made: list[str] = []

    def provision(self, connection: HTTPConnection, name: str) -> dict[str, Any]:
        """From POST to the first login that verifies the server."""
        body = {"name": name, "organisationName": "Bench", "projectName": "Bench"}
        status, made = self._running.call(connection, "POST", "/v1/postgres", body, Prefer="wait=60")
        if status != 201:
            raise RuntimeError(f"{status}: {made}")
        self._made.append(made["id"])
        authority = self._root / f"{name}.pem"
        authority.write_text(made["credentials"]["ca"])
        url = made["credentials"]["url"]
        with psycopg.connect(url, sslmode="verify-full", sslrootcert=str(authority)) as client:
            client.execute("SELECT 1")
        created: dict[str, Any] = made
        return created

    def home(self, id: str) -> Path:
        """The directory of a server."""
        given = self._running.data_dir / "postgres/spares" / id
        return self._running.data_dir / "services" / (f"{given.read_text()}-postgres" if given.exists() else f"{id}.postgres")

    # ── What is measured ──────────────────────────────────────────────────────────────────────────────────────────────

    def creation(self, what: str, aim: float, ready: Callable[[], object] = bool) -> list[Line]:
        """One after the other, in turn with initdb, start and createdb, each when it is `ready`."""
        connection, plain, ours = self._running.connection(), [], []
        self.provision(connection, "zero")
        for turn in range(TURNS):
            ready()
            raw = PlainPostgres(self._root / f"plain-{turn}", self._installation)
            try:
                plain.append(timed(raw.create))
            finally:
                raw.stop()
            ours.append(timed(lambda: self.provision(connection, f"one-{turn}")))  # noqa: B023  # called at once
        ratio = statistics.median(our / raw for our, raw in zip(ours, plain, strict=True))
        return [
            Line(what="initdb, start, createdb, p50", measured=median_ms(plain), unit="ms"),
            Line(what=f"{what}, p50", measured=median_ms(ours), unit="ms"),
            Line(what="  ratio", measured=ratio, unit="", aim=f"at most {aim}", met=ratio <= aim),
        ]

    def await_spare(self) -> None:
        """Return once a server runs that belongs to no database."""
        request = Request(f"{self._running.url}/metrics", headers={"X-API-Key": self._running.key})
        while "enopax_postgres_spares 1.0" not in urlopen(request).read().decode():
            time.sleep(0.5)

    def throughput(self) -> list[Line]:
        """pgbench over TLS: plain PostgreSQL with the same parameters and niceness, ours, and through the pooler."""
        made = self.provision(self._running.connection(), "pgbench")
        self._await_backup(made["id"])
        conf = self.home(made["id"]) / "conf"
        size = size_of(plans(10 << 30, 50 << 30)[0])
        same = {name: value for name, value in parameters(size, self._installation.major).items() if name not in ARCHIVE}
        plain = PlainPostgres(self._root / "plain", self._installation)
        try:
            plain.initialise({**same, **plain.certificate(conf)})
            plain.start(nice=os.getpriority(os.PRIO_PROCESS, postmaster(self.home(made["id"]) / "data")))
            plain.run("createdb", "--host=127.0.0.1", f"--port={plain.port}", "--username=postgres", "app")
            ways = {"plain": plain.url(), "without TLS": plain.url(tls=False), **addresses(made)}
            for way in ("plain", "direct"):
                self._pgbench("--initialize", "--quiet", f"--scale={SCALE}", ways[way])
            return [line for mode in MODES for line in self._compared(mode, ways)]
        finally:
            plain.stop()

    def _await_backup(self, id: str) -> None:
        """The first one is taken by itself after half a minute: not while something is measured."""
        connection = self._running.connection()
        while not self._running.call(connection, "GET", f"/v1/postgres/{id}/backups")[1]["backups"]:
            time.sleep(1)

    def _compared(self, mode: str, ways: Mapping[str, str]) -> list[Line]:
        rates: dict[str, list[float]] = {way: [] for way in ways}
        options = [f"--builtin={MODES[mode]}", "--no-vacuum", f"--client={CLIENTS}", "--jobs=2", f"--time={SECONDS}"]
        for _ in range(ROUNDS):  # in turn, so that a drifting machine treats all alike
            for way, url in ways.items():
                said = self._pgbench(*options, url)
                rates[way].append(float(re.findall(r"tps = ([0-9.]+)", said)[0]))
        lines = [
            Line(what=f"pgbench {mode}, {way}", measured=statistics.median(found), unit="/s") for way, found in rates.items()
        ]
        for way in [way for way in ways if way in AIMS]:
            ratio = statistics.median(ours / plain for ours, plain in zip(rates[way], rates["plain"], strict=True))
            aim = AIMS[way]
            lines.append(Line(what=f"  {way} / plain", measured=ratio, unit="", aim=f"at least {aim}", met=ratio >= aim))
        return lines

    def _pgbench(self, *arguments: str) -> str:
        """Run pgbench; what it printed. The password of a benchmark is no secret."""
        command = [self._installation.program("pgbench"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def memory(self) -> list[Line]:
        """An idle database with its pooler, beside an idle plain server."""
        made = self.provision(self._running.connection(), "idle")
        plain = PlainPostgres(self._root / "plain-idle", self._installation)
        try:
            plain.create()
            ours = share_mib([postmaster(self.home(made["id"]) / "data"), *pooler_of(made["id"])])
            return [
                Line(what="memory of an idle plain server", measured=share_mib([plain.pid]), unit="MiB"),
                Line(what="memory of an idle database and its pooler", measured=ours, unit="MiB"),
            ]
        finally:
            plain.stop()

    def many(self) -> list[Line]:
        """Created at once; each has answered a login."""
        ready: list[str] = []

        def client(number: int) -> None:
            ready.append(self.provision(self._running.connection(), f"many-{number}")["id"])

        threads = [threading.Thread(target=client, args=(number,)) for number in range(MANY)]
        seconds = timed(lambda: together(threads))
        return [
            Line(what=f"{MANY} at once: ready", measured=len(ready), unit="", aim=f"all {MANY}", met=len(ready) == MANY),
            Line(what=f"{MANY} at once: until the last", measured=seconds, unit="s"),
        ]

    def purge(self) -> None:
        """Leave no server behind."""
        for id in self._made:
            self._running.call(self._running.connection(), "DELETE", f"/v1/postgres/{id}?purge=true", Prefer="respond-async")
        while any(self.home(id).exists() for id in self._made):
            time.sleep(0.1)


def addresses(made: dict[str, Any]) -> Mapping[str, str]:
    """The two ways to a database, with credentials."""
    url, ways = made["credentials"]["url"], made["connection"]
    ports = {way: str(conninfo_to_dict(address)["port"]) for way, address in ways.items()}
    return {way: url.replace(f":{ports['direct']}/", f":{port}/") for way, port in ports.items()}


def pooler_of(id: str) -> list[int]:
    """Process id of a database's pooler, where there is one."""
    file = f"{id}.postgres/conf/pgbouncer.ini"
    return [found.pid for found in psutil.process_iter(["cmdline"]) if (found.info["cmdline"] or [""])[-1].endswith(file)]


def share_mib(pids: Sequence[int]) -> float:
    """Proportional memory of processes and their children: what is shared counts once."""
    mains = [psutil.Process(pid) for pid in pids]
    found = [process for main in mains for process in (main, *main.children(recursive=True))]
    return float(sum(process.memory_full_info().pss for process in found)) / (1 << 20)


def together(threads: Sequence[threading.Thread]) -> None:
    """Start all, wait for all."""
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
