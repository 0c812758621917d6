"""Whether operations that are due are taken up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from enopax_core.core.doctor.installation import Installation
from enopax_core.ledger import operations
from enopax_core.records.finding import Finding

LATE = timedelta(minutes=1)


async def check(installation: Installation) -> Sequence[Finding]:
    """See `waiting`. Those of plugins that are not here wait for something else."""
    if installation.ledger is None:
        return []
    known = {registered.endpoint for registered in installation.registry.providers}
    due = [one for one in await installation.ledger.read(operations.due) if one.endpoint in known]
    oldest = min((one.oldest for one in due), default=None)
    return [waiting(oldest, sum(one.number for one in due), installation.clock(), running=installation.running)]


def waiting(oldest: datetime | None, number: int, now: datetime, *, running: bool) -> Finding:
    """How long the longest waiting operation has been due."""
    if oldest is None or now - oldest <= LATE:
        return Finding(check="queue", severity="ok", message=f"{number} operations are due.")
    message = f"{number} operations are due, the longest for {now - oldest}."
    remedy = "raise `workers` in enopax.toml, or look into the log" if running else "enopax serve"
    return Finding(check="queue", severity="warning", message=message, remedy=remedy)
