"""A new owner's key for an installation that lets nobody in any more: who may write the data directory owns it anyway."""

from __future__ import annotations

from pathlib import Path

from enopax_core import builtin
from enopax_core.builtin import keys
from enopax_core.core.acceptance import audit
from enopax_core.core.backups import LEDGER, NOWHERE
from enopax_core.core.lock import DirectoryLock
from enopax_core.core.owner_key import OwnerKeyFile
from enopax_core.errors import StartupError
from enopax_core.events.recorder import new_id
from enopax_core.hooks import Change
from enopax_core.ledger.interface import Transaction
from enopax_core.ledger.sqlite import SqliteLedger
from enopax_core.records.principal import INSTALLATION, Permission

FIELDS = {"name": "owner", "role": "owner", "permissions": None, "organisation": None, "project": None, "expires_at": None}


async def recover_owner_key(data_dir: Path) -> Path:
    """Make another owner's key and write it to `owner.key`; where it stands. Other keys stay as they are; it is audited.

    Raises: DataDirectoryInUse while a server runs on it, StartupError where no installation is.
    """
    if not (data_dir / LEDGER).is_file():
        raise StartupError(f"There is no installation in {data_dir}.")
    path = data_dir / "owner.key"

    def write(transaction: Transaction) -> None:
        secret = keys.new_key()
        OwnerKeyFile(path).create(secret)  # before the commit: a key nobody ever saw would be of no use
        keys.add(transaction, new_id("key"), secret, {**FIELDS, "created_by": INSTALLATION.id})
        change = Change(type="key.recover", permission=Permission.KEYS, principal=INSTALLATION, place=NOWHERE)
        audit(transaction, change, None)

    with DirectoryLock(data_dir):
        async with SqliteLedger(data_dir / LEDGER, tables=[builtin.TABLES]) as ledger:
            await ledger.write(write)
    return path
