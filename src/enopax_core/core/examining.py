"""Use case: examine an installation, open or at rest."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio

from enopax_core.clock import Clock
from enopax_core.core import doctor
from enopax_core.core.backups import LEDGER
from enopax_core.core.doctor import Finding
from enopax_core.core.lock import DirectoryLock
from enopax_core.errors import StartupError
from enopax_core.governors import Governors
from enopax_core.ledger.copying import copy_database
from enopax_core.ledger.interface import Ledger, Tables
from enopax_core.ledger.sqlite import SqliteLedger
from enopax_core.records.place import Target
from enopax_core.records.principal import Permission, Principal
from enopax_core.registry import Registry


class Examination:
    """Examines an open installation."""

    def __init__(self, *, data_dir: Path, ledger: Ledger, registry: Registry, governors: Governors, clock: Clock) -> None:
        self._data_dir, self._ledger, self._registry = data_dir, ledger, registry
        self._governors, self._clock = governors, clock

    async def __call__(self, principal: Principal, *, fix: bool = False) -> Sequence[Finding]:
        """Every finding; `fix` mends what is safe. Raises Forbidden."""
        await self._governors.require(principal, Permission.ADMIN, Target())
        around = await _around(self._data_dir, self._registry, self._clock, fix=fix)
        return [*around, *await doctor.ledger(self._ledger, self._clock, running=True)]


async def examine_at_rest(
    data_dir: Path, registry: Registry, tables: Sequence[Tables], clock: Clock, *, fix: bool
) -> Sequence[Finding]:
    """The same where no server runs. The ledger is looked at in a copy: nothing is migrated. Raises DataDirectoryInUse."""
    with DirectoryLock(data_dir), tempfile.TemporaryDirectory() as folder:
        around = await _around(data_dir, registry, clock, fix=fix)
        copy = Path(folder) / LEDGER
        try:
            await anyio.to_thread.run_sync(copy_database, data_dir / LEDGER, copy)
            async with SqliteLedger(copy, tables=tables, clock=clock) as ledger:
                return [*around, *await doctor.ledger(ledger, clock, running=False)]
        except StartupError as error:  # too new for this version, or no database at all
            return [*around, Finding(check="ledger", severity="error", message=error.message, remedy="enopax restore-backup")]


async def _around(data_dir: Path, registry: Registry, clock: Clock, *, fix: bool) -> Sequence[Finding]:
    look = partial(_look, data_dir, clock, fix=fix)
    return [*await anyio.to_thread.run_sync(look), *doctor.plugins(registry.problems)]


def _look(data_dir: Path, clock: Clock, *, fix: bool) -> Sequence[Finding]:
    return list(doctor.directory(data_dir, clock(), fix=fix))
