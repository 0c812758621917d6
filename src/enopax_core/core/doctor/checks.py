"""The checks, in the order in which people read what they have found."""

from __future__ import annotations

from collections.abc import Sequence

from enopax_core.core.doctor import backup, clock, disk, events, keys, permissions, plugins, queue
from enopax_core.core.doctor.installation import Check, Installation
from enopax_core.records.finding import Finding

CHECKS: Sequence[Check] = (
    permissions.check,
    keys.check_files,
    keys.check_owner,
    disk.check,
    backup.check,
    plugins.check,
    clock.check,
    queue.check,
    events.check,
    keys.check_expiring,
)


async def examine(installation: Installation) -> Sequence[Finding]:
    """Every finding of every check."""
    return [finding for check in CHECKS for finding in await check(installation)]
