"""Looks at every database again and again: keeps its disk within the plan's, measures it, lets a replica take over alone."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread

from enopax_core import Host, ResourceRecord, Status
from enopax_core.errors import EnopaxError, PermanentError
from enopax_postgres.exposition import Exposition
from enopax_postgres.parts import Parts

log = logging.getLogger(__name__)
T = TypeVar("T")
TICK = 2.0
"""Seconds between two rounds, and so the shortest time between two looks at one database."""
LONGEST = 30.0
"""Seconds after which even an empty database is looked at: a scrape of Prometheus a minute finds something new."""
FASTEST = 200 << 20
"""Bytes a second that nobody writes faster: what is free divided by it is the time in which nothing can happen."""
AT_ONCE = 4
FAILOVER = "failover"
"""Name of the hold under which a replica takes over."""


class Watch:
    """Watches the databases of one core."""

    def __init__(self, host: Host, parts: Parts, exposition: Exposition) -> None:
        self._host, self._parts, self._exposition = host, parts, exposition
        self._due: dict[str, float] = {}
        self._limiter = anyio.CapacityLimiter(AT_ONCE)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._round()
            except EnopaxError as error:  # the runtime cannot be reached: it says so itself, and comes back
                log.warning("Databases could not be looked at: %s", error.message)
            except Exception:  # whatever it is must not end the server, in whose lifespan this runs
                log.exception("Databases could not be looked at.")
            await anyio.sleep(TICK)

    async def _round(self) -> None:
        ids = await self._in_thread(self._parts.databases.ids)
        found = [record for id in ids if (record := await self._host.resources.get(id)) is not None]
        for record in found:
            if any(hold.name == FAILOVER for hold in record.holds):
                await self._host.resources.release(record.id, FAILOVER)  # a kill came before
        records = [record for record in found if _serves(record)]
        self._exposition.keep([record.id for record in records])
        self._due = {record.id: self._due.get(record.id, 0) for record in records}
        now = time.monotonic()
        async with anyio.create_task_group() as group:
            for record in records:
                if self._due[record.id] <= now:
                    group.start_soon(self._look, record)

    async def _look(self, record: ResourceRecord) -> None:
        wait = LONGEST
        try:
            if await self._in_thread(partial(self._parts.replicas.inherits, record.id)):
                await self._fail_over(record)
            else:
                wait = await self._in_thread(partial(self._measure, record))
        except EnopaxError as error:
            log.info("The database %s could not be looked at: %s", record.id, error.message)
        except Exception:  # a database may go while it is looked at; the others, and the server, must not go with it
            log.exception("The database %s could not be looked at.", record.id)
        self._due[record.id] = time.monotonic() + wait

    async def _fail_over(self, record: ResourceRecord) -> None:
        """Have the replica take over, in the database's own line of operations: it is suspended, and resumes as what is left.

        The hold is what people see until then.
        """
        log.warning("The data directory of the database %s is gone: its replica takes over.", record.id)
        await self._host.resources.hold(record.id, FAILOVER, "The primary's data directory is gone: the replica takes over.")
        await self._host.resources.release(record.id, FAILOVER)

    async def _in_thread(self, function: Callable[[], T]) -> T:
        # Shielded: what it asks of the loop would spin for ever at the first lock, were the core closed meanwhile (anyio 4.16).
        with anyio.CancelScope(shield=True):
            found = await anyio.to_thread.run_sync(function, limiter=self._limiter)
        return found

    def _measure(self, record: ResourceRecord) -> float:
        instance = self._parts.databases.of(record)
        free = self._parts.changes.keep_within_disk(instance)
        self._exposition.put(record.id, self._parts.looks.metrics(instance))
        if instance.size.insights:
            with contextlib.suppress(PermanentError):  # statistics begin with the next restart
                self._parts.looks.slow_queries(instance)
        return min(LONGEST, max(0, free) / FASTEST)


def _serves(record: ResourceRecord) -> bool:
    return record.has_backend and record.status in (Status.ACTIVE, Status.DEGRADED, Status.UPDATING)
