"""Spares: servers that run already, for the next databases of the first plan with the options that most people leave alone.

A spare is made as a database is, with a system identifier, ports and a certificate of its own, but under a name of its own.
A database that takes one keeps that name; what is left to do is a password. Spares live as long as the core is open, and what
a kill leaves of them is removed at the next start: so none is given twice, and none is of other settings than the present.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

import anyio
import anyio.to_thread
import psutil

from enopax_core.errors import EnopaxError
from enopax_core.provider import Resource
from enopax_postgres import roles
from enopax_postgres.config import DatabaseConfig
from enopax_postgres.databases import Databases
from enopax_postgres.machine import Machine
from enopax_postgres.names import is_spare, new_spare
from enopax_postgres.progress import Quiet
from enopax_postgres.services import POOLER, SERVER

log = logging.getLogger(__name__)
FIXED = ("database", "locale", "recover_from")
"""Options that a server cannot take over while it runs."""
ROOM = 1 << 30
"""Bytes of memory that must be available for another spare, which takes about 60 MB: databases come first."""
PAUSE, PAUSE_AFTER_FAILURE = 5.0, 60.0


class Spares:
    """Keeps spares ready while the core is open."""

    def __init__(self, databases: Databases, machine: Machine, number: int) -> None:
        self._databases, self._machine, self._number = databases, machine, number
        self._ready: list[str] = []
        self._changing = threading.Lock()

    @property
    def ready(self) -> Sequence[str]:
        """Names of those that can be taken now."""
        return tuple(self._ready)

    def take(self, resource: Resource[DatabaseConfig]) -> bool:
        """Let a new database be a spare, if one fits. What was begun by an earlier attempt stays as it is.

        Returns whether it is one.
        """
        config, fresh = resource.config, DatabaseConfig()
        if is_spare(self._machine.names.of(resource.id)):
            return True
        if resource.plan != self._databases.first_plan or any(getattr(config, name) != getattr(fresh, name) for name in FIXED):
            return False
        if self._databases.exists(resource.id):
            return False
        with self._changing:
            if self._ready and config.version in ("default", str(self._databases.spare(self._ready[0]).installation.major)):
                self._machine.names.give(self._ready.pop(0), resource.id)
                return True
        return False

    # ── In the background ─────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Until cancelled."""
        pause = 0.0 if await self._works(self._clear) else PAUSE_AFTER_FAILURE
        try:
            while self._number:
                await anyio.sleep(pause)
                pause = PAUSE if await self._works(self._fill) else PAUSE_AFTER_FAILURE
        finally:
            await self._works(self._clear)

    async def _works(self, function: Callable[[], None]) -> bool:
        try:
            # Shielded, as Watch is: what it asks of the loop would spin for ever, were the core closed meanwhile.
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(function)
        except EnopaxError as error:
            log.warning("No spare database: %s", error.message)
        except Exception:  # whatever it is must not end the server, in whose lifespan this runs
            log.exception("No spare database.")
        else:
            return True
        return False

    def _clear(self) -> None:
        """Remove all that nobody has taken."""
        with self._changing:  # nobody takes one from here on
            self._ready.clear()
        for name in sorted({*self._machine.services(SERVER), *self._machine.services(POOLER)}):
            if is_spare(name):
                self._discard(name)

    def _fill(self) -> None:
        """Come closer to the number that is wanted: none where there are no databases."""
        wanted = self._number if self._databases.ids() else 0
        with self._changing:
            keep = [name for name in self._ready[:wanted] if self._databases.answers(self._databases.spare(name))]
            superfluous = [name for name in self._ready if name not in keep]
            self._ready = keep
        for name in superfluous:
            self._discard(name)
        if len(keep) < wanted and psutil.virtual_memory().available >= ROOM:
            self._make(new_spare())

    def _make(self, name: str) -> None:
        try:
            instance = self._databases.spare(name)
            self._databases.create(Quiet(), instance, roles.LOGINS[0], roles.new_password())
        except BaseException:
            self._discard(name)
            raise
        with self._changing:
            self._ready.append(name)

    def _discard(self, name: str) -> None:
        """The ports first: what is killed in between is found by what the runtime has of it."""
        self._databases.stop(name)
        self._machine.release(name)
        self._databases.purge(name)
