"""The checks, in the order in which people read what they have found."""

from __future__ import annotations

from collections.abc import Sequence

from enopax_core.core.doctor import (
    added,
    backup,
    clock,
    disk,
    events,
    keys,
    operations,
    orphans,
    owner,
    permissions,
    plugins,
    ports,
    queue,
    secrets,
    versions,
)
from enopax_core.core.doctor.installation import Check, Installation
from enopax_core.records.finding import Finding

CHECKS: Sequence[Check] = (
    permissions.check,
    keys.check_files,
    owner.check,
    secrets.check,
    disk.check,
    backup.check,
    plugins.check,
    versions.check,
    ports.check,
    clock.check,
    queue.check,
    operations.check,
    events.check,
    orphans.check,
    keys.check_expiring,
    added.check,
)


async def examine(installation: Installation) -> Sequence[Finding]:
    """Every finding of every check."""
    return [finding for check in CHECKS for finding in await check(installation)]
