"""How old the last backup is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import anyio

from enopax_core.clock import parse
from enopax_core.core.backups import LAST
from enopax_core.core.doctor.installation import Installation
from enopax_core.records.finding import Finding

OLD = timedelta(days=7)


async def check(installation: Installation) -> Sequence[Finding]:
    """See `age`."""
    last = await anyio.to_thread.run_sync(_last, installation.data_dir / LAST)
    return [age(last, installation.clock(), installation.data_dir)]


def age(last: datetime | None, now: datetime, data_dir: Path) -> Finding:
    """Whether it is time for one; `last` is when the last one was handed out, None: never."""
    if last is not None and now - last <= OLD:
        return Finding(check="backup", severity="ok", message=f"The last backup was made {last:%Y-%m-%d %H:%M} UTC.")
    message = "No backup was made yet." if last is None else f"The last backup is {(now - last).days} days old."
    return Finding(check="backup", severity="warning", message=message, remedy=f"enopax backup --data-dir {data_dir}")


def _last(file: Path) -> datetime | None:
    return parse(file.read_text("utf-8").strip()) if file.exists() else None
