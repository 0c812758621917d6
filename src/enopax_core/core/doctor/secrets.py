"""Whether what is sealed can be opened."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import anyio

from enopax_core.core.doctor.installation import Installation, found
from enopax_core.core.reseal import PAGE, SEALED
from enopax_core.errors import VaultError
from enopax_core.ledger import resources
from enopax_core.records.finding import Finding
from enopax_core.records.resource import ResourceRecord
from enopax_core.vault import Vault

REMEDY = "put the vault.keys back that it was sealed with, from a backup"


async def check(installation: Installation) -> Sequence[Finding]:
    """Opens every secret of every resource. A missing `vault.keys` is a finding of `keys`."""
    file = installation.data_dir / "vault.keys"
    if installation.ledger is None or not file.exists():
        return []
    try:
        vault = Vault(file)
    except VaultError as error:
        return [Finding(check="secrets", severity="error", message=error.message, remedy=REMEDY)]
    looked, closed, after = 0, list[str](), 0
    while page := await installation.ledger.read(partial(resources.page_of_sealed, after=after, size=PAGE)):
        after, looked = page[-1].position, looked + len(page)
        closed += await anyio.to_thread.run_sync(partial(_closed, vault, page))
    worse = []
    if closed:
        message = f"vault.keys does not open the secrets of {len(closed)} of {looked} resources, {closed[0]} among them."
        worse = [Finding(check="secrets", severity="error", message=message, remedy=REMEDY)]
    return found("secrets", worse=worse, well="vault.keys opens every secret.")


def _closed(vault: Vault, records: Sequence[ResourceRecord]) -> list[str]:
    """Ids of those whose secrets cannot be opened."""
    return [record.id for record in records if not _opens(vault, record)]


def _opens(vault: Vault, record: ResourceRecord) -> bool:
    try:
        for name in SEALED:
            vault.open(getattr(record, name))
    except VaultError:
        return False
    return True
