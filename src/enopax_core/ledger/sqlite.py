"""The embedded ledger: SQLite in WAL mode with `synchronous=FULL`, one writing thread, a few reading ones.

What waits for the writer is committed together, each function under a savepoint of its own: one fsync serves them all,
and one that fails takes none of the others with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from enopax_core.clock import Clock, utc_now
from enopax_core.errors import NotOpen, StartupError, Unavailable
from enopax_core.ledger.copying import copy_database
from enopax_core.ledger.interface import Row, Tables, Transaction, UniqueViolation
from enopax_core.ledger.migrations import migrate
from enopax_core.ledger.queries import CORE, load_queries
from enopax_core.records.event import Event

T = TypeVar("T")
log = logging.getLogger(__name__)
READERS = 2  # a read takes some 30 µs and the interpreter lock lets one run at a time: more gain nothing
LARGEST_BATCH = 64  # transactions in one commit: bounds how long the first of them waits for the last


class SqliteTransaction:
    """An open transaction on one connection."""

    def __init__(self, connection: sqlite3.Connection, queries: Mapping[str, str], now: datetime) -> None:
        self._connection, self._queries = connection, queries
        self.now = now
        self.events: list[Event] = []

    def execute(self, query: str, **parameters: object) -> Sequence[Row]:
        try:
            statement = self._queries[query]
        except KeyError:
            raise LookupError(f"There is no query named {query}.") from None
        try:
            return self._connection.execute(statement, parameters).fetchall()
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorcode in (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY):
                raise UniqueViolation(str(error).partition(": ")[2]) from error
            raise


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """A function waiting for the writer, and who waits for it."""

    function: Callable[[Transaction], T]
    future: asyncio.Future[T]
    durable: bool


class SqliteLedger:
    """A ledger in one file. Opened and closed by the core: `async with SqliteLedger(path) as ledger`."""

    def __init__(self, path: Path, *, tables: Sequence[Tables] = (), clock: Clock = utc_now) -> None:
        self.path = path
        self._tables = (CORE, *tables)
        self._clock = clock
        self._queries = {name: sql for section in self._tables for name, sql in load_queries(section).items()}
        self._jobs: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        self._listeners: list[Callable[[Sequence[Event]], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []  # by the reading threads

    async def __aenter__(self) -> SqliteLedger:
        """Migrate and start. Raises DatabaseTooNew, StartupError."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._migrate)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="ledger-read")
        self._writer = threading.Thread(target=self._write_jobs, name="ledger-write", daemon=True)
        self._writer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Finish what waits, then close every connection."""
        self._loop = None
        self._jobs.put(None)
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._readers.shutdown)
        while self._opened:
            self._opened.pop().close()

    def listen(self, listener: Callable[[Sequence[Event]], None]) -> None:
        """See Ledger."""
        self._listeners.append(listener)

    async def write(self, function: Callable[[Transaction], T], *, durable: bool = True) -> T:
        """See Ledger."""
        if self._loop is None:
            raise NotOpen
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(Job(function, future, durable))
        try:
            return await asyncio.shield(future)  # cancelling the caller does not undo what is being committed
        except asyncio.CancelledError:
            future.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody is left to hear of it
            raise

    async def read(self, function: Callable[[Transaction], T]) -> T:
        """See Ledger."""
        if self._loop is None:
            raise NotOpen
        return await self._loop.run_in_executor(self._readers, partial(self._read, function))

    async def copy(self, target: Path) -> None:
        """See Ledger."""
        await asyncio.to_thread(copy_database, self.path, target)

    # ── In the threads ────────────────────────────────────────────────────────────────────────────────────────────────

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, cached_statements=256)
        connection.row_factory = sqlite3.Row
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "busy_timeout=10000",
            "cache_size=-16000",
        ):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _migrate(self) -> None:
        try:
            with contextlib.closing(self._connect()) as connection:
                for section in self._tables:
                    migrate(connection, section)
        except sqlite3.DatabaseError as error:
            raise StartupError(f"The ledger {self.path} cannot be opened: {error}.") from error
        self.path.chmod(0o600)

    def _read(self, function: Callable[[Transaction], T]) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            self._opened.append(connection)
            connection.execute("PRAGMA query_only=ON")
        try:
            connection.execute("BEGIN")
            try:
                return function(SqliteTransaction(connection, self._queries, self._clock()))
            finally:
                connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if _out_of_order(error):
                raise _unavailable(error) from error
            raise

    def _write_jobs(self) -> None:
        connection = self._connect()
        stopping = False
        while not stopping:
            jobs: list[Job[Any]] = []
            for job in self._waiting():
                if job is None:
                    stopping = True
                    break
                jobs.append(job)
            if jobs:
                self._commit(connection, jobs)
        with contextlib.suppress(sqlite3.Error):  # a full disk must not keep anybody from stopping
            connection.execute("PRAGMA optimize")
        connection.close()

    def _waiting(self) -> Iterator[Job[Any] | None]:
        """The next job, and those that came while the last commit ran."""
        yield self._jobs.get()
        for _ in range(LARGEST_BATCH - 1):
            try:
                yield self._jobs.get_nowait()
            except queue.Empty:
                return

    def _commit(self, connection: sqlite3.Connection, jobs: list[Job[Any]]) -> None:
        done: list[tuple[Job[Any], Any, BaseException | None]] = []
        events: list[Event] = []
        try:
            # The log is synchronised in order: what is durable takes along what came before it.
            connection.execute(f"PRAGMA synchronous={'FULL' if any(job.durable for job in jobs) else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            now = self._clock()
            for job in jobs:
                transaction = SqliteTransaction(connection, self._queries, now)
                connection.execute("SAVEPOINT job")
                try:
                    result = job.function(transaction)
                except Exception as error:
                    if _out_of_order(error) or not connection.in_transaction:  # SQLite may have rolled everything back
                        raise
                    connection.execute("ROLLBACK TO job")
                    done.append((job, None, error))
                else:
                    done.append((job, result, None))
                    events.extend(transaction.events)
                connection.execute("RELEASE job")
            connection.execute("COMMIT")
        except sqlite3.Error as error:  # nobody's change happened
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            done, events = [(job, None, _unavailable(error)) for job in jobs], []
        with contextlib.suppress(RuntimeError):  # the loop has closed: whoever waited is gone with it
            jobs[0].future.get_loop().call_soon_threadsafe(self._settle, done, events)

    # ── Back in the event loop ────────────────────────────────────────────────────────────────────────────────────────

    def _settle(self, done: list[tuple[Job[Any], Any, BaseException | None]], events: list[Event]) -> None:
        for job, result, error in done:
            if job.future.done():
                continue
            if error is None:
                job.future.set_result(result)
            else:
                job.future.set_exception(error)
        if events:
            for listener in self._listeners:
                listener(events)


BROKEN = frozenset(
    (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
    )
)
"""Primary result codes (https://www.sqlite.org/rescode.html) for which no query is to blame, but the disk or the machine."""


def _out_of_order(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in BROKEN


def _unavailable(error: sqlite3.Error) -> Unavailable:
    log.error("The ledger cannot be used: %s (%s).", error, getattr(error, "sqlite_errorname", ""))
    return Unavailable("The ledger cannot be used now: try again shortly.")
