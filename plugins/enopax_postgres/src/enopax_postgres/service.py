"""What the hooks of one core share."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from enopax_core import Host
from enopax_core.errors import PluginRefused
from enopax_postgres.exposition import Exposition
from enopax_postgres.installations import Installations
from enopax_postgres.plans import plans
from enopax_postgres.provider import PostgresProvider
from enopax_postgres.settings import PostgresSettings

if TYPE_CHECKING:
    from enopax_postgres.parts import Parts
    from enopax_postgres.safekeeping import Safekeeping

IDLE = 1.0
"""Seconds between two looks for the first database."""


class PostgresService:
    """Composes the plugin for one core; what does the work only when the first database asks for it."""

    def __init__(self, host: Host) -> None:
        self._host, self._home = host, host.data_dir / "postgres"
        self._open = False
        self._settings = host.settings("postgres", PostgresSettings)
        if self._settings.s3_bucket is not None and importlib.util.find_spec("obstore") is None:
            raise PluginRefused("[postgres] s3_bucket needs a library: pip install 'enopax-postgres[s3]'.")
        self.installations = Installations(self._settings.programs, os.environ.get("PATH", ""))
        self.plans = plans(self._settings.small_disk_bytes, self._settings.medium_disk_bytes)
        self._parts: Parts | None = None
        self._composing = threading.Lock()
        self.provider = PostgresProvider(host, self.plans, self.parts)

    def parts(self) -> Parts:
        """What does the work."""
        with self._composing:
            if self._parts is None:
                # psycopg and X.509 cost 0.1 s and 20 MB: a server without databases does without.
                from enopax_postgres.parts import compose

                self._parts = compose(self._host, self._settings, self.installations, self.plans)
            return self._parts

    def used(self, id: str) -> int:
        """Bytes that a database takes of its plan's disk."""
        return self.parts().databases.used(id)

    def major(self, id: str) -> int | None:
        """Major version of a database; None: it has no data."""
        return self.parts().databases.major(id)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Bring back what was restored; watch the databases, from the first one on."""
        self._open = True
        try:
            if self._home.exists():
                await self._safekeeping().bring_back()
            async with anyio.create_task_group() as group:
                group.start_soon(self._watch)
                yield
                group.cancel_scope.cancel()
        finally:
            self._open = False

    def back_up(self, folder: Path) -> None:
        """Add the databases to a backup of the installation. Blocks."""
        if self._home.exists():
            self._safekeeping().back_up(folder, self.parts if self._open else None)

    def restore(self, folder: Path) -> None:
        """Take them back. Blocks."""
        self._safekeeping().restore(folder)

    def _safekeeping(self) -> Safekeeping:
        from enopax_postgres.safekeeping import Safekeeping  # as in `parts`

        return Safekeeping(self._host, self._settings.backup_dir)

    async def _watch(self) -> None:
        while not self._home.exists():  # noqa: ASYNC110  # what makes it may be another thread; a look costs a microsecond
            await anyio.sleep(IDLE)
        from enopax_postgres.watch import Watch  # as above

        parts = await anyio.to_thread.run_sync(self.parts)
        exposition = Exposition(lambda: len(parts.spares.ready))
        self._host.registry.register(exposition)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(parts.spares.run)
                group.start_soon(Watch(self._host, parts, exposition).run)
                if parts.offsite is not None:
                    from enopax_postgres.shipping import Shipping  # of the extra `s3`

                    backups = self._settings.backup_dir or self._home / "backups"
                    group.start_soon(Shipping(self._host, parts.offsite, backups, self.plans).run)
        finally:  # a core may be opened again
            self._host.registry.unregister(exposition)
