"""Creating repositories through the whole API, durable and fsynced, against `git init --bare`; and memory."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

from common import Line, Server, folder, median_ms, report, server, timed

EXPRESS_RATE = 20.0  # creations a second of a Node/Express server that runs a Bash script, measured on 2 cores
CLIENTS, EACH = 8, 150


def main() -> None:
    """Measure and report."""
    with folder() as root, server(root / "data") as running:
        idle = running.memory_mib()
        connection = running.connection()
        for number in range(50):
            running.create(connection, f"warm-{number}")
        raw, ours = [], []
        for number in range(200):  # in turn, so that a drifting machine treats both alike
            raw.append(timed(lambda number=number: init(root / f"raw-{number}.git")))  # type: ignore[misc]  # a lambda's default
            ours.append(timed(lambda number=number: running.create(connection, f"one-{number}")))  # type: ignore[misc]  # a lambda's default
        seconds, rate = many(running)
        seconds.sort()
        p99 = seconds[int(len(seconds) * 0.99)] * 1000
        ratio = median_ms(ours) / median_ms(raw)
        report(
            "create",
            [
                Line(what="git init --bare, p50", measured=median_ms(raw), unit="ms"),
                Line(what="create through the API, p50", measured=median_ms(ours), unit="ms"),
                Line(what="ratio", measured=ratio, unit="", aim="at most 1.0", met=ratio <= 1.0),
                Line(what=f"{CLIENTS} clients", measured=rate, unit="/s", aim="at least 240", met=rate >= 12 * EXPRESS_RATE),
                Line(what=f"{CLIENTS} clients, p99", measured=p99, unit="ms", aim="under 100", met=p99 < 100),
                Line(what="memory, idle", measured=idle, unit="MiB", aim="at most 120", met=idle <= 120),
                Line(what="memory, after", measured=running.memory_mib(), unit="MiB"),
            ],
        )


def init(path: Path) -> None:
    """What Git itself does."""
    subprocess.run(["git", "init", "-q", "--bare", str(path)], check=True)


def many(running: Server) -> tuple[list[float], float]:
    """Several clients at once: seconds of each creation, and creations a second."""
    seconds: list[float] = []

    def client(number: int) -> None:
        connection = running.connection()
        for turn in range(EACH):
            seconds.append(timed(lambda: running.create(connection, f"many-{number}-{turn}")))  # noqa: B023  # called at once

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seconds, len(seconds) / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
