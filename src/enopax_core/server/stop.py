"""How a server is told to stop, and that it does stop in time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

RESERVE_SECONDS = 1.0  # of the grace, kept for dying
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Asked once: stop gracefully. Asked again: hurry."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurry = asyncio.Event()

    def ask(self) -> None:
        """Ask from within the event loop."""
        (self.hurry if self.asked.is_set() else self.asked).set()

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT ask, as long as this is entered; in the main thread only."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.ask)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)


class Deadline:
    """Ends the process with status 0 when the time of a stop is over, whatever still hangs.

    A provider's plain method that blocks in a thread cannot be interrupted, and Python waits for it at exit. Ending is
    safe: accepted work is durable and goes on after the next start.
    """

    def __init__(self, last_words: Callable[[], None]) -> None:
        self._last_words = last_words
        self._timer: threading.Timer | None = None

    @contextlib.contextmanager
    def after(self, stop: Stop, grace: float, hurry: float) -> Iterator[None]:
        """Watch a stop: from being asked it may take `grace` seconds, from being asked again `hurry` seconds."""
        watching = asyncio.create_task(self._watch(stop, grace, hurry))
        try:
            yield
        finally:
            watching.cancel()  # the timer goes on: what Python waits for at exit counts too

    async def _watch(self, stop: Stop, grace: float, hurry: float) -> None:
        await stop.asked.wait()
        self._within(grace - min(RESERVE_SECONDS, grace / 10))
        await stop.hurry.wait()
        self._within(min(grace, hurry))

    def _within(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True  # it holds up no exit
        self._timer.start()

    def _end(self) -> None:
        try:
            self._last_words()
        finally:
            os._exit(0)
