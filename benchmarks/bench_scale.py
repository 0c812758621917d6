"""What a hundred thousand resources cost a request, and a hundred thousand operations the server's memory."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

from common import Line, Server, folder, median_ms, report, server, timed

from enopax_core.ledger import resources
from enopax_core.ledger.interface import Transaction
from enopax_core.ledger.sqlite import SqliteLedger
from enopax_core.records.resource import ResourceRecord

FEW, MANY = 100, 100_000
ROUNDS = 300
WARM = 30_000  # operations after which the ledger's caches are full: they hold 16 MB for each connection
OPERATIONS = 100_000
AT_ONCE = 50  # changes sent before the last of them is waited for
LISTING = "/v1/example?org=Bench&project=Bench&page_size=100"


def main() -> None:
    """Measure and report."""
    with folder() as root, ExitStack() as stack:
        running = {}
        for number in (FEW, MANY):
            (root / str(number)).mkdir()
            fill(root / str(number) / "data", number)
            running[number] = stack.enter_context(server(root / str(number) / "data"))
        lines = latency(running)
        stack.close()
        with server(root / str(FEW) / "data") as alone:
            lines += memory(alone)
        report("scale", lines)


def fill(data_dir: Path, number: int) -> None:
    """An installation with so many resources: one made through the API, the others copied in the ledger."""
    with server(data_dir) as running:
        first = running.create(running.connection(), "first", "example")["id"]

    def copy(transaction: Transaction, size: int) -> None:
        pattern = resources.get(transaction, first)
        if pattern is None:
            raise RuntimeError("The pattern is gone.")
        for _ in range(size):
            resources.add(transaction, another(pattern))

    async def copies() -> None:
        async with SqliteLedger(data_dir / "ledger.sqlite3") as ledger:
            for size in batches(number - 1, 1000):
                await ledger.write(partial(copy, size=size))

    asyncio.run(copies())


def another(pattern: ResourceRecord) -> ResourceRecord:
    """The same under another id and name."""
    word = secrets.token_hex(8)
    return replace(pattern, id=f"bench-bench-{word}", name=word, position=0)


def batches(number: int, size: int) -> Iterator[int]:
    """Sizes that add up."""
    while number > 0:
        yield min(number, size)
        number -= size


def latency(running: dict[int, Server]) -> list[Line]:
    """GET, list and create with few and with many, in turn, so that a drifting machine treats both alike."""
    seconds: dict[tuple[str, int], list[float]] = {}
    people = {number: (one, one.connection()) for number, one in running.items()}
    ids = {number: known(*person) for number, person in people.items()}
    for turn in range(ROUNDS):
        for number, (one, connection) in people.items():
            path = f"/v1/example/{random.choice(ids[number])}"  # which one does not matter
            acts: dict[str, Callable[[], object]] = {
                "GET": partial(one.call, connection, "GET", path),
                "list": partial(one.call, connection, "GET", LISTING),
                "create": partial(one.create, connection, f"new-{turn}", "example"),
            }
            for what, act in acts.items():
                seconds.setdefault((what, number), []).append(timed(act))
    lines = []
    for what in ("GET", "list", "create"):
        few, many = median_ms(seconds[what, FEW]), median_ms(seconds[what, MANY])
        lines.append(Line(what=f"{what} at {FEW}, p50", measured=few, unit="ms"))
        lines.append(Line(what=f"{what} at {MANY}, p50", measured=many, unit="ms"))
        lines.append(Line(what="  ratio", measured=many / few, unit="", aim="at most 1.3", met=many <= 1.3 * few))
    return lines


def known(one: Server, connection: HTTPConnection) -> list[str]:
    """Ids of a page of resources."""
    return [found["id"] for found in one.call(connection, "GET", LISTING)[1]["resources"]]


def memory(one: Server) -> list[Line]:
    """Memory once the caches are full, and after many operations more."""
    connection = one.connection()
    id = one.create(connection, "changed", "example")["id"]
    done, seen = 0, []
    for share in (WARM, WARM + OPERATIONS):
        while done < share:
            for turn in range(AT_ONCE):
                one.call(connection, "PUT", f"/v1/example/{id}", {"message": f"{done + turn}"}, Prefer="respond-async")
            one.call(connection, "PUT", f"/v1/example/{id}", {"message": "last"}, Prefer="wait=60")
            done += AT_ONCE + 1
        seen.append(one.memory_mib())
    growth = seen[1] - seen[0]
    return [
        Line(what=f"memory after {WARM} operations", measured=seen[0], unit="MiB"),
        Line(what=f"memory after {OPERATIONS} more", measured=seen[1], unit="MiB"),
        Line(what="  growth", measured=growth, unit="MiB", aim="none (at most 5)", met=growth <= 5),
    ]


if __name__ == "__main__":
    main()
