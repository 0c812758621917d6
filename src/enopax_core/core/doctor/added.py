"""What plugins look at themselves."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from enopax_core.core.doctor.installation import Installation
from enopax_core.records.finding import Finding

log = logging.getLogger(__name__)


async def check(installation: Installation) -> Sequence[Finding]:
    """Asks every plugin that looks (`enopax_examine`). One that fails hides none of the others' findings."""
    findings: list[Finding] = []
    if installation.running and not installation.open:
        return findings  # what they serve lives in the server's process, which cannot be asked
    for plugin, look in installation.governors.examinations().items():
        try:
            findings += await look(installation.running, installation.fix)
        except Exception as error:  # a plugin may fail in any way
            log.exception("The plugin %s could not be examined.", plugin)
            message = f"{plugin} could not examine itself ({type(error).__name__}); the log says more."
            findings.append(Finding(check=plugin, severity="error", message=message, remedy=f"enopax plugin check {plugin}"))
    return findings
