"""Hands every event to the plugins that consume them: at least once, in order, a durable cursor each."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import anyio

from enopax_core.events.feed import Feed, wait
from enopax_core.ledger import events
from enopax_core.ledger.events import Cursor
from enopax_core.ledger.interface import Ledger, Transaction
from enopax_core.records.event import Event

log = logging.getLogger(__name__)
PAGE = 200
LONGEST_WAIT = 60.0  # seconds between tries of a consumer that fails
LEDGER_WAIT = 1.0  # seconds until a ledger that failed is asked again
GATHER = 0.02  # seconds: what happens at nearly the same time is read and remembered together, not event by event
Consumer = Callable[[Event], Awaitable[None]]


class Outbox:
    """One task for each consumer: a slow or failing one holds up nobody else."""

    def __init__(self, ledger: Ledger, feed: Feed, consumers: Mapping[str, Consumer]) -> None:
        self._ledger, self._feed, self._consumers = ledger, feed, consumers

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with anyio.create_task_group() as group:
            for name, consumer in self._consumers.items():
                group.start_soon(self._deliver, name, consumer)

    async def _deliver(self, name: str, consumer: Consumer) -> None:
        while True:
            try:
                await self._follow(name, consumer)
            except Exception:  # the ledger failed (a full disk): begin again where the cursor stands
                log.exception("Events for the plugin %s cannot be read or their cursor not be written; it is tried again.", name)
                await anyio.sleep(LEDGER_WAIT)

    async def _follow(self, name: str, consumer: Consumer) -> None:
        cursor = await self._ledger.write(partial(_begin, name=name))
        with self._feed.bell() as bell:
            while True:
                bell.clear()
                page = await self._ledger.read(partial(events.everything, after=cursor.position, size=PAGE))
                if not page:
                    if await wait(bell, LONGEST_WAIT):
                        await anyio.sleep(GATHER)
                    continue
                done, error = await _consume(name, consumer, page)
                failures = 0 if error is None else (cursor.failures if done == 0 else 0) + 1
                position = page[done - 1].position if done else cursor.position
                cursor = Cursor(consumer=name, position=position, failures=failures, error=error)
                # A power cut may take the cursor back: at least once is what was promised.
                await self._ledger.write(partial(events.set_cursor, cursor=cursor), durable=False)
                if error is not None:
                    await anyio.sleep(min(LONGEST_WAIT, 0.5 * 2 ** min(failures, 10)))


def _begin(transaction: Transaction, name: str) -> Cursor:
    """A consumer that is new begins with what happens from now on."""
    cursor = events.cursor(transaction, name)
    if cursor is None:
        cursor = Cursor(consumer=name, position=events.last_position(transaction))
        events.set_cursor(transaction, cursor)
    return cursor


async def _consume(name: str, consumer: Consumer, page: list[Event]) -> tuple[int, str | None]:
    """How many of a page were consumed, and what stopped the next."""
    for done, event in enumerate(page):
        try:
            await consumer(event)
        except Exception as error:  # a plugin may fail in any way: its events wait, nobody else's
            log.exception("The plugin %s failed on event %s; it is tried again.", name, event.position)
            return done, type(error).__name__
    return len(page), None
