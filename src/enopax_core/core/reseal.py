"""Seals every secret under the newest key, page by page; killed in between, the next start finishes it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from enopax_core import builtin
from enopax_core.core.lock import DirectoryLock
from enopax_core.ledger import resources
from enopax_core.ledger.interface import Ledger, Transaction
from enopax_core.ledger.sqlite import SqliteLedger
from enopax_core.vault import Vault

SEALED = ("sealed_config", "sealed_applied", "sealed_state", "sealed_credentials")
PAGE = 200


async def rotate_secrets(data_dir: Path) -> int:
    """Seal every secret of an installation under a new key; how many resources were written. Nothing else is touched.

    Raises: DataDirectoryInUse while a server runs on it.
    """
    with DirectoryLock(data_dir):
        vault = Vault(data_dir / "vault.keys")
        async with SqliteLedger(data_dir / "ledger.sqlite3", tables=[builtin.TABLES]) as ledger:
            vault.add_key()
            return await reseal(vault, ledger)


async def reseal(vault: Vault, ledger: Ledger, *, unfinished_only: bool = False) -> int:
    """Seal again, then forget the old keys; how many records were written. Operations' secrets live for a day at most."""
    if unfinished_only and vault.keys == 1:
        return 0
    written, after = 0, 0
    while page := await ledger.read(partial(resources.page_of_sealed, after=after, size=PAGE)):
        after = page[-1].position
        ids = [record.id for record in page]

        def write(transaction: Transaction, ids: list[str] = ids) -> int:
            for id in ids:
                record = resources.get(transaction, id)
                if record is not None:
                    again: dict[str, Any] = {f: vault.reseal(s) for f in SEALED if (s := getattr(record, f)) is not None}
                    resources.save(transaction, replace(record, **again))
            return len(ids)

        written += await ledger.write(write)
    await ledger.write(partial(_rest, vault))
    vault.drop_old_keys()
    return written


def _rest(vault: Vault, transaction: Transaction) -> None:
    """What operations, steps and recorded answers keep sealed."""
    for table in ("operations_input", "operations_result", "steps", "idempotency"):
        for row in transaction.execute(f"sealed_{table}"):
            transaction.execute(f"reseal_{table}", rowid=row["rowid"], sealed=vault.reseal(row["sealed"]))
