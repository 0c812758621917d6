"""Changes to a database that runs, and what must be done to it from time to time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from enopax_core.provider import Operation
from enopax_postgres import quota
from enopax_postgres.databases import Databases
from enopax_postgres.instance import Instance

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
WINDOW = timedelta(hours=1)


class Changes:
    """Changes databases of one installation."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    def apply(self, instance: Instance) -> list[str]:
        """Make a running server follow its configuration; what waits for a restart."""
        self._databases.configure(instance)
        self._databases.reload(instance)
        self._databases.extend(instance)
        self._databases.pool(instance)
        self.keep_within_disk(instance)
        return self._databases.waiting(instance)

    def keep_within_disk(self, instance: Instance) -> int:
        """Enforce the plan's disk; bytes that are left of it. Raises TemporaryError when the server cannot be reached."""
        used = quota.used(instance.layout)
        with self._databases.administration(instance) as connection:
            now = quota.current(connection, instance.config.database)
            wanted = quota.level(used / instance.size.disk, now)
            if wanted is not now:
                quota.enforce(connection, instance.config.database, wanted)
        return instance.size.disk - used

    def restart(self, operation: Operation, instance: Instance) -> None:
        """Restart a server; connections end."""
        self._databases.stop(instance.id)
        self._databases.start(operation, instance)
        self._databases.pool(instance)

    def upkeep(self, operation: Operation, instance: Instance, now: datetime) -> None:
        """Renew the certificate in time; restart in the maintenance window where something waits for it."""
        if self.apply(instance) and in_window(instance.config.maintenance_window, now):
            self.restart(operation, instance)


def in_window(window: str, now: datetime) -> bool:
    """Whether a moment lies in the hour that begins at `window`, such as `Sun 03:00`, UTC, each week."""
    day, _, clock = window.partition(" ")
    hour, minute = map(int, clock.split(":"))
    now = now.astimezone(UTC)
    begin = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    begin += timedelta(days=(DAYS.index(day) - now.weekday()) % 7)
    if begin > now:
        begin -= timedelta(days=7)
    return now - begin < WINDOW
