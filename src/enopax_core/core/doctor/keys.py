"""The key files, and API keys that end soon."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import anyio

from enopax_core.builtin import keys
from enopax_core.builtin.keys import Key
from enopax_core.core.doctor.installation import Installation, found
from enopax_core.records.finding import Finding

SOON = timedelta(days=14)  # a key that ends within it should be renewed


async def check_files(installation: Installation) -> Sequence[Finding]:
    """See `files`."""

    def look() -> list[Finding]:
        return list(files(installation.data_dir))

    return found("keys", worse=await anyio.to_thread.run_sync(look), well="The key files are there.")


def files(data_dir: Path) -> Iterator[Finding]:
    """Whether the key files are there and whether secrets are sealed under one key alone. Blocks."""
    vault = data_dir / "vault.keys"
    if not vault.exists():
        message = "vault.keys is missing: no secret can be opened without it."
        yield Finding(check="keys", severity="error", message=message, remedy="put vault.keys back from a backup")
    elif len(vault.read_bytes().split()) > 1:
        message = "Sealing secrets under a new key was not finished; the next start does."
        yield Finding(check="keys", severity="warning", message=message, remedy=f"enopax rotate-secrets --data-dir {data_dir}")
    if not (data_dir / "owner.key").exists():
        message = "owner.key is missing: commands on this machine cannot sign in by themselves."
        yield Finding(check="keys", severity="warning", message=message, remedy="write the owner's API key into owner.key")


async def check_expiring(installation: Installation) -> Sequence[Finding]:
    """See `expiring`."""
    if installation.ledger is None:
        return []
    known = await installation.ledger.read(partial(keys.page, organisation=None, project=None, after=0, size=1000))
    return found("expiring keys", worse=list(expiring(known, installation.clock())), well="No API key ends soon.")


def expiring(known: Sequence[Key], now: datetime) -> Iterator[Finding]:
    """Keys that end soon."""
    for key in known:
        if key.expires_at is not None and now < key.expires_at <= now + SOON:
            message = f"The key {key.name} ({key.id}) ends at {key.expires_at:%Y-%m-%d %H:%M} UTC."
            yield Finding(check="expiring keys", severity="warning", message=message, remedy=f"enopax keys create {key.name!r}")
