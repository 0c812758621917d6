"""Use case: examine an installation, open or at rest."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio

from enopax_core.core.backups import LEDGER
from enopax_core.core.doctor.checks import examine
from enopax_core.core.doctor.installation import Installation
from enopax_core.core.lock import DirectoryLock
from enopax_core.errors import DataDirectoryInUse, StartupError
from enopax_core.ledger import audit
from enopax_core.ledger.copying import copy_database
from enopax_core.ledger.interface import Transaction
from enopax_core.ledger.sqlite import SqliteLedger
from enopax_core.records.audit import AuditEntry
from enopax_core.records.finding import Finding
from enopax_core.records.place import Target
from enopax_core.records.principal import Permission, Principal

UNASKED = Finding(
    check="server",
    severity="warning",
    message="A server runs, but could not be asked: it lets nobody in, or does not answer. This is what the files say.",
    remedy="mend owner.key, or restart the server: enopax serve",
)


class Examination:
    """Examines an open installation."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    async def __call__(self, principal: Principal, *, fix: bool = False) -> Sequence[Finding]:
        """Every finding; `fix` mends what is safe, and is written into the audit log first. Raises Forbidden."""
        await self._installation.governors.require(principal, Permission.ADMIN, Target())
        if fix and self._installation.ledger is not None:
            await self._installation.ledger.write(partial(_audit, principal=principal))
        return await examine(replace(self._installation, fix=fix))


def _audit(transaction: Transaction, principal: Principal) -> None:
    entry = AuditEntry(at=transaction.now, principal=principal.id, credential=principal.credential, action="doctor.fix")
    audit.add(transaction, entry)


async def examine_at_rest(installation: Installation) -> Sequence[Finding]:
    """The same where no server runs, or beside one that could not be asked. A copy of the ledger is looked at, and migrated."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(DirectoryLock(installation.data_dir))
        except DataDirectoryInUse:
            installation, unasked = replace(installation, running=True), [UNASKED]
        else:
            unasked = []
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        copy = Path(folder) / LEDGER
        try:
            await anyio.to_thread.run_sync(copy_database, installation.data_dir / LEDGER, copy)
            async with SqliteLedger(copy, tables=installation.tables, clock=installation.clock) as ledger:
                return [*unasked, *await examine(replace(installation, ledger=ledger))]
        except StartupError as error:  # too new for this version, or no database at all
            unreadable = Finding(check="ledger", severity="error", message=error.message, remedy="enopax restore-backup")
            return [*unasked, *await examine(installation), unreadable]
