"""Whether every plugin can be used."""

from __future__ import annotations

from collections.abc import Sequence

from enopax_core.core.doctor.installation import Installation, found
from enopax_core.records.finding import Finding
from enopax_core.registry import Problem


async def check(installation: Installation) -> Sequence[Finding]:
    """See `unusable`."""
    return found("plugins", worse=unusable(installation.registry.problems), well="Every plugin can be used.")


def unusable(problems: Sequence[Problem]) -> Sequence[Finding]:
    """Plugins that cannot be used, and why."""
    return [
        Finding(check="plugins", severity="error", message=f"{p.plugin}: {p.message}", remedy=f"enopax plugin check {p.plugin}")
        for p in problems
    ]
