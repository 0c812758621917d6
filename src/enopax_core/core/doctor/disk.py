"""Whether the disk fills up."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import anyio

from enopax_core.core.doctor.installation import Installation
from enopax_core.records.finding import Finding, Severity

LOW, VERY_LOW = 0.10, 0.03  # of the file system that may be left


async def check(installation: Installation) -> Sequence[Finding]:
    """See `space`."""
    usage = await anyio.to_thread.run_sync(shutil.disk_usage, installation.data_dir)
    return [space(usage.free, usage.total)]


def space(free: int, total: int) -> Finding:
    """How much is left. Both in bytes."""
    left = free / total if total else 0.0
    severity: Severity = "error" if left < VERY_LOW else "warning" if left < LOW else "ok"
    remedy = "" if severity == "ok" else "free disk space, or purge what is deleted"
    return Finding(check="disk", severity=severity, message=f"{left:.0%} ({free >> 20} MiB) of the disk is free.", remedy=remedy)
