"""Whether operations get on: those that run, and those of plugins that are not here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta

from enopax_core.core.doctor.installation import Installation, found
from enopax_core.ledger import operations
from enopax_core.ledger.interface import Transaction
from enopax_core.ledger.operations import Due
from enopax_core.records.finding import Finding
from enopax_core.records.operation import OperationRecord

OVERDUE = timedelta(minutes=1)  # a lease lasts 20 s, and a sweep follows every few seconds
LONG = timedelta(hours=1)


async def check(installation: Installation) -> Sequence[Finding]:
    """See `lost`, `lasting` and `without_plugin`."""
    if installation.ledger is None:
        return []

    def read(transaction: Transaction) -> tuple[list[OperationRecord], list[Due]]:
        return operations.running(transaction), operations.due(transaction)

    (running, due), now = await installation.ledger.read(read), installation.clock()
    known = {registered.endpoint for registered in installation.registry.providers}
    worse = [*without_plugin(due, known)]
    if installation.running:  # at rest nothing runs: the next start takes it all up
        worse += [*lost(running, now), *lasting(running, now)]
    return found("operations", worse=worse, well=f"{len(running)} operations are in progress.")


def lost(running: Sequence[OperationRecord], now: datetime) -> Iterator[Finding]:
    """Those whose worker is gone, and nobody has noticed."""
    for operation in running:
        if operation.lease_until is not None and now - operation.lease_until > OVERDUE:
            message = f"The lease of {operation.id} ({operation.type}) ended at {operation.lease_until:%Y-%m-%d %H:%M:%S} UTC."
            yield Finding(check="operations", severity="error", message=message, remedy="restart the server: enopax serve")


def lasting(running: Sequence[OperationRecord], now: datetime) -> Iterator[Finding]:
    """Those that take very long."""
    for operation in running:
        if operation.started_at is not None and now - operation.started_at > LONG:
            asked = operation.cancel_requested
            message = f"{operation.id} ({operation.type} of {operation.resource or operation.endpoint}) runs since"
            message += f" {operation.started_at:%Y-%m-%d %H:%M} UTC{', though it was cancelled' if asked else ''}."
            remedy = "restart the server: enopax serve" if asked else f"enopax operations cancel {operation.id}"
            yield Finding(check="operations", severity="warning", message=message, remedy=remedy)


def without_plugin(due: Sequence[Due], known: Collection[str]) -> Iterator[Finding]:
    """Those that wait for a plugin which is not here."""
    for one in due:
        if one.endpoint not in known:
            since = f"{one.oldest:%Y-%m-%d %H:%M} UTC"
            message = f"{one.number} operations of {one.endpoint} wait for its plugin, the longest since {since}."
            remedy = f"install the plugin that offers {one.endpoint}, or enable it, and start the server again"
            yield Finding(check="operations", severity="warning", message=message, remedy=remedy)
