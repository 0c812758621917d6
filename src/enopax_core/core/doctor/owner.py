"""Whether commands on this machine can sign in by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio

from enopax_core.builtin import keys
from enopax_core.builtin.keys import Key
from enopax_core.core.doctor.installation import Installation
from enopax_core.records.finding import Finding

FILE = "owner.key"


async def check(installation: Installation) -> Sequence[Finding]:
    """Whether `owner.key` holds a key that is valid. A missing file is a finding of `keys`."""
    file = installation.data_dir / FILE
    if installation.ledger is None or not installation.settings.auth:
        return []
    secret = await anyio.to_thread.run_sync(_read, file)
    if secret is None:
        return []
    key: Key | None = await installation.ledger.read(partial(keys.find, secret))
    if key is None:
        wrong = "it was revoked, or belongs to another installation"
    elif key.expires_at is not None and key.expires_at <= installation.clock():
        wrong = f"it ended at {key.expires_at:%Y-%m-%d %H:%M} UTC"
    else:
        return [Finding(check="owner key", severity="ok", message=f"owner.key holds a valid key ({key.id}).")]
    message = f"owner.key holds no valid key: {wrong}. Commands on this machine cannot sign in."
    return [Finding(check="owner key", severity="warning", message=message, remedy=remedy(installation.data_dir))]


def remedy(data_dir: Path) -> str:
    """How to get in again."""
    return f"stop the server, then enopax recover-owner-key --data-dir {data_dir}"


def _read(file: Path) -> str | None:
    return file.read_text("utf-8", "replace").strip() if file.exists() else None
