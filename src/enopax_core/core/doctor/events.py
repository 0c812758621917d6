"""Whether every plugin receives its events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from enopax_core.core.doctor.installation import Installation, found
from enopax_core.ledger import events
from enopax_core.ledger.events import Cursor
from enopax_core.records.finding import Finding


async def check(installation: Installation) -> Sequence[Finding]:
    """See `failing`."""
    if installation.ledger is None:
        return []
    cursors = await installation.ledger.read(events.cursors)
    return found("events", worse=list(failing(cursors)), well="Every plugin receives its events.")


def failing(cursors: Sequence[Cursor]) -> Iterator[Finding]:
    """Plugins that fail on an event: theirs wait."""
    for cursor in cursors:
        if cursor.failures:
            message = f"{cursor.consumer} fails on the event behind {cursor.position} ({cursor.error}, {cursor.failures} times)."
            yield Finding(check="events", severity="warning", message=message, remedy=f"enopax plugin check {cursor.consumer}")
