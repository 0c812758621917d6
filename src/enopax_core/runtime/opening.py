"""Opens the runtime that the settings choose, when it is first needed: an installation without services pays nothing."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from enopax_core.clock import Clock
from enopax_core.errors import StartupError
from enopax_core.runtime.interface import Known, Runtime
from enopax_core.runtime.settings import RuntimeSettings

SUPERVISOR = "enopax_core.runtime.supervisor.runtime:SupervisorRuntime"
CONTAINER = "enopax_core.runtime.container.runtime:ContainerRuntime"
ENGINES = {"supervisor": (SUPERVISOR, "specifications"), "podman": (CONTAINER, "podman"), "docker": (CONTAINER, "docker")}
"""By the setting's value: its class, called with data directory, settings, clock and the task group it may live in; and where it
keeps a file for every service, below `runtime/` in the data directory."""


class Engine(Runtime, Protocol):
    """A runtime as the core holds it."""

    def revive(self) -> None:
        """Begin to bring back, in the background, what is to run and does not."""

    async def close(self) -> None:
        """The server ends. Services go on."""


class Opening:
    """The runtime of one core."""

    def __init__(self, data_dir: Path, settings: RuntimeSettings, clock: Clock, group: TaskGroup) -> None:
        self._data_dir, self._settings, self._clock, self._group = data_dir, settings, clock, group
        self._engine: Engine | None = None
        self._lock = threading.Lock()  # providers' plain methods ask from threads

    def runtime(self) -> Engine:
        """The runtime, made when it is first asked for."""
        with self._lock:
            if self._engine is None:
                module, _, name = ENGINES[self._settings.engine][0].partition(":")
                make = getattr(import_module(module), name)
                engine: Engine = make(self._data_dir, self._settings, self._clock, self._group)
                self._engine = engine
            return self._engine

    async def services(self) -> Sequence[Known]:
        """Everything there is of any service; no runtime is made to say that there is nothing. Raises RuntimeUnavailable."""
        if not any((self._data_dir / folder).exists() for folder in ("runtime", "services")):
            return []
        return await self.runtime().services()

    async def close(self) -> None:
        """The server ends."""
        if self._engine is not None:
            await self._engine.close()


@contextlib.asynccontextmanager
async def opened(data_dir: Path, settings: RuntimeSettings, clock: Clock) -> AsyncIterator[Opening]:
    """Services come back, and are watched over, from here to the end of the block; afterwards they go on by themselves.

    Raises: StartupError when there are services under another engine: they would be left alone.
    """
    for other in ENGINES.keys() - {settings.engine}:
        if _has_services(data_dir, other):
            raise StartupError(
                f"[runtime] engine: services of this installation run under {other}, not {settings.engine}:"
                " delete the resources that have them first, or set the engine back."
            )
    async with anyio.create_task_group() as group:
        opening = Opening(data_dir, settings, clock, group)
        if _has_services(data_dir, settings.engine):
            opening.runtime().revive()
        try:
            yield opening
        finally:
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await opening.close()


def _has_services(data_dir: Path, engine: str) -> bool:
    return any((data_dir / "runtime" / ENGINES[engine][1]).glob("*.json"))
