"""Backups of the whole installation: what its databases put into one, and what they take back from one."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import anyio.from_thread

from enopax_core import Host
from enopax_core.errors import EnopaxError, Unavailable
from enopax_postgres.backups import installation
from enopax_postgres.backups.catalogue import Catalogue
from enopax_postgres.layout import Layout, primary
from enopax_postgres.machine import Machine
from enopax_postgres.parts import Parts
from enopax_postgres.services import SERVER

log = logging.getLogger(__name__)
AUTHORITY, DATABASES, SPARES = "authority", "databases", "spares"


class Safekeeping:
    """Works on files, so that no server need run, neither the databases' nor the installation's."""

    def __init__(self, host: Host, backups: Path | None) -> None:
        """`backups` is the setting `backup_dir`."""
        home = host.data_dir / "postgres"
        self._host, self._machine = host, Machine(host)
        self._authority, self._backups = home / AUTHORITY, backups or home / "backups"
        self._services = host.data_dir / "services"

    def back_up(self, folder: Path, parts: Callable[[], Parts] | None) -> None:
        """Copy the authority and every database; `parts` gives what takes a backup first where there is none. Blocks.

        Raises Unavailable naming a database that nothing would bring back.
        """
        if not self._authority.is_dir():
            return
        (folder / AUTHORITY).mkdir(mode=0o700)
        for key in self._authority.glob("*.pem"):
            shutil.copy2(key, folder / AUTHORITY)
        names = self._machine.names.folder
        if names.is_dir():
            shutil.copytree(names, folder / SPARES)  # ports go by them
        for id in self._ids():
            layout = self._layout(id)
            catalogue = Catalogue(layout, self._machine)
            if not layout.data.exists() and not catalogue.all():
                continue
            if parts is None or self._wanted(id, layout, catalogue, parts()):
                installation.back_up(layout, catalogue, folder / DATABASES / id)

    def restore(self, folder: Path) -> None:
        """Put a copy in its place, on an installation that is not open. Blocks. Raises BackupRefused."""
        self._authority.parent.mkdir(mode=0o711)
        shutil.move(folder / AUTHORITY, self._authority)
        if (folder / SPARES).is_dir():
            shutil.move(folder / SPARES, self._machine.names.folder)
        if (folder / DATABASES).is_dir():
            self._backups.mkdir(parents=True, exist_ok=True)
            installation.restore(folder / DATABASES, self._backups)

    async def bring_back(self) -> None:
        """Have every database that was restored come up: an operation for each, which waits where another hold is.

        The hold is what people see until it is up. A database whose operation waits already is left alone.
        """
        for marker in sorted(self._backups.glob(f"*/{installation.RESTORED}")):
            record = await self._host.resources.get(marker.parent.name)
            if record is None or not record.has_backend or not record.live or (record.status == "suspended" and not record.holds):
                continue
            await self._host.resources.hold(record.id, "restored", "It is brought back from a backup of the installation.")
            await self._host.resources.release(record.id, "restored")

    def _wanted(self, id: str, layout: Layout, catalogue: Catalogue, parts: Parts) -> bool:
        """Whether a resource needs it; then it has a backup, taken now where there was none."""
        record = anyio.from_thread.run(self._host.resources.get, id)
        if record is None or not record.has_backend:
            return False  # being made, or not to be finished: made anew from its configuration
        if parts.offsite is not None:
            parts.offsite.place(layout)  # where to look for what comes after this
        if installation.newest(layout, catalogue) is not None:
            return True
        if not record.live:
            log.warning("The deleted database %s has no good backup, and is left out of that of the installation.", id)
            return False
        try:
            parts.backups.take(parts.databases.of(record), _on, full=True)
        except EnopaxError as error:
            raise Unavailable(
                f"The database {id} has no backup that leads up to now, and none can be taken: {error.message}"
            ) from error
        return True

    def _layout(self, id: str) -> Layout:
        backups = self._backups / id
        service = self._machine.names.of_service(id + (primary(backups) or SERVER))
        return Layout(home=self._services / service, backups=backups)

    def _ids(self) -> Iterable[str]:
        kept = {path.name for path in self._backups.iterdir()} if self._backups.is_dir() else set()
        plain = {path.name.removesuffix(SERVER) for path in self._services.glob(f"*{SERVER}")}
        return sorted(kept | plain | set(self._machine.names.owners().values()))


def _on() -> None:
    """Nobody can cancel it."""
