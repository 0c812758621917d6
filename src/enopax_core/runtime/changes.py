"""What changing a service has in common in every runtime: one change at a time, and waiting until it is ready."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
import psutil

from enopax_core.errors import ServiceFailed
from enopax_core.runtime.interface import State, Status
from enopax_core.runtime.launch import start_of
from enopax_core.runtime.service import Service
from enopax_core.runtime.usage import waited

GIVES_UP_AFTER = 3  # restarts while it is coming up
FIRST_LOOK, LONGEST_LOOK = 0.01, 0.25  # seconds between two looks
SETTLED_SECONDS = 0.3
UNPROBED_SECONDS = 60.0  # for one without a probe to run


class Turns:
    """Changes of one service wait for each other."""

    def __init__(self) -> None:
        self._locks: dict[str, anyio.Lock] = {}

    @contextlib.asynccontextmanager
    async def alone(self, id: str) -> AsyncIterator[None]:
        """Nobody else changes the service inside of the block."""
        lock = self._locks.setdefault(id, anyio.Lock())
        try:
            async with lock:
                yield
        finally:
            waiting = lock.statistics()
            if not waiting.locked and not waiting.tasks_waiting:
                self._locks.pop(id, None)


async def come_up(service: Service, look: Callable[[], Awaitable[Status]]) -> Status:
    """Wait until a service that was started is ready. Raises ServiceFailed."""
    seconds = UNPROBED_SECONDS if service.readiness is None else service.readiness.timeout
    pause = FIRST_LOOK
    with anyio.move_on_after(seconds):
        while True:
            status = await look()
            if status.ready:
                return status
            if status.state is State.STOPPED or status.restarts >= GIVES_UP_AFTER:
                raise ServiceFailed(f"The service {service.id} ends instead of coming up.")
            await anyio.sleep(pause)
            pause = min(LONGEST_LOOK, pause * 1.5)
    raise ServiceFailed(f"The service {service.id} was not ready after {seconds:g} s.")


def has_settled(pid: int, since: float) -> bool:
    """Whether a program has lived long enough to say, without a probe, that it runs; time without a processor does not count.

    `since`: seconds on the boot clock at which it began.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME) - since - waited(Path(f"/proc/{pid}")) > SETTLED_SECONDS


def has_settled_under(init: int) -> bool:
    """The same of what a container's init has begun. It goes by the init's name until its program was found and executed."""
    try:
        name = psutil.Process(init).name()
        programs = [child.pid for child in psutil.Process(init).children() if child.name() != name]
    except psutil.NoSuchProcess:
        return False
    return any(has_settled(pid, began(pid)) for pid in programs)


def began(pid: int) -> float:
    """When a process began, in seconds on the boot clock; never, where it is gone."""
    start = start_of(pid)
    return math.inf if start is None else start / os.sysconf("SC_CLK_TCK")
