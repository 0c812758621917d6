"""Whether the clock went back: due times, leases and expiry follow it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from enopax_core.core.doctor.installation import Installation
from enopax_core.ledger import events
from enopax_core.ledger.interface import Transaction
from enopax_core.records.finding import Finding

TOLERATED = timedelta(seconds=5)  # that a clock may go back


async def check(installation: Installation) -> Sequence[Finding]:
    """See `behind`."""
    if installation.ledger is None:
        return []
    return [behind(await installation.ledger.read(_newest_event), installation.clock())]


def behind(newest_event: datetime | None, now: datetime) -> Finding:
    """Whether something is said to have happened that lies ahead."""
    if newest_event is None or newest_event - now <= TOLERATED:
        return Finding(check="clock", severity="ok", message="The clock is not behind the newest event.")
    message = f"The clock is {newest_event - now} behind the newest event."
    return Finding(check="clock", severity="error", message=message, remedy="set the clock: timedatectl set-ntp true")


def _newest_event(transaction: Transaction) -> datetime | None:
    last = events.everything(transaction, after=max(0, events.last_position(transaction) - 1), size=1)
    return last[0].at if last else None
