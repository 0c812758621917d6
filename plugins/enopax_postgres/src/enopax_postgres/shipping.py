"""Copies backups and the archive of every database to the store, again and again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from enopax_core import Host
from enopax_core.errors import EnopaxError
from enopax_core.provider import Plan
from enopax_postgres.backups.installation import RESTORED
from enopax_postgres.backups.offsite import Offsite
from enopax_postgres.instance import real_time
from enopax_postgres.layout import Layout
from enopax_postgres.plans import size_of

log = logging.getLogger(__name__)
TICK = 5.0
"""Seconds between two rounds: how much later than here a segment is there. PostgreSQL ends one each minute at least."""


class Shipping:
    """Ships the backups of one installation."""

    def __init__(self, host: Host, offsite: Offsite, backups: Path, plans: Sequence[Plan]) -> None:
        """`backups` holds a directory for the backups of each database."""
        self._host, self._offsite, self._backups = host, offsite, backups
        self._plans = {plan.id: plan for plan in plans}

    async def run(self) -> None:
        """Until cancelled."""
        limiter = anyio.CapacityLimiter(1)
        while True:
            for folder in sorted(self._backups.iterdir()):
                record = await self._host.resources.get(folder.name)
                if record is None or not record.has_backend or (folder / RESTORED).exists():
                    continue
                keep = timedelta(days=size_of(self._plans[record.plan or ""]).backup_days)
                ship = partial(self._offsite.ship, Layout(home=folder, backups=folder), keep, real_time())
                try:  # a large backup takes long, and the end of the server does not wait for it
                    await anyio.to_thread.run_sync(ship, limiter=limiter, abandon_on_cancel=True)
                except EnopaxError as error:
                    log.warning("Backups of the database %s were not copied: %s", record.id, error.message)
                except Exception:  # whatever it is must not end the server, in whose lifespan this runs
                    log.exception("Backups of the database %s were not copied.", record.id)
            await anyio.sleep(TICK)
