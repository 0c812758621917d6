"""A client that commits rows without a pause, and knows which of them were acknowledged."""

from __future__ import annotations

import threading
from typing import Any

import psycopg

PAUSE = 0.02  # seconds between two attempts to connect: it leaves the processor to those who are waited for
TABLE = "CREATE TABLE t (i int)"


class Writer:
    """Inserts numbers into the table `t`, and connects anew whenever a connection ends."""

    def __init__(self, url: str, first: int = 1, **more: Any) -> None:
        """`more` are parameters of the connection."""
        self._url, self._next, self._more, self._ended = url, first, more, threading.Event()
        self.acknowledged: list[int] = []
        self._fault: BaseException | None = None

    def run(self) -> None:
        """Until ended."""
        try:
            while not self._ended.is_set():
                try:
                    with psycopg.connect(self._url, autocommit=True, connect_timeout=10, **self._more) as connection:
                        self._write(connection)
                except psycopg.OperationalError:
                    self._ended.wait(PAUSE)
                except psycopg.errors.ReadOnlySqlTransaction:  # what takes over is promoted in a moment
                    self._ended.wait(PAUSE)
        except BaseException as error:
            self._fault = error
            raise

    def _write(self, connection: psycopg.Connection[Any]) -> None:
        while not self._ended.is_set():
            number, self._next = self._next, self._next + 1
            connection.execute("INSERT INTO t VALUES (%s)", (number,))
            self.acknowledged.append(number)

    def wrote(self, count: int) -> bool:
        """Whether so many are acknowledged. Raises what has ended the writer."""
        if self._fault is not None:
            raise self._fault
        return len(self.acknowledged) >= count

    def end(self) -> None:
        """No more."""
        self._ended.set()
