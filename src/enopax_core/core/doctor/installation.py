"""What the checks look at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from enopax_core.clock import Clock
from enopax_core.engine.orphans import Orphans
from enopax_core.governors import Governors
from enopax_core.hooks import Host
from enopax_core.ledger.interface import Ledger, Tables
from enopax_core.records.finding import Finding
from enopax_core.registry import Registry
from enopax_core.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Installation:
    """An installation that is examined, open or at rest."""

    settings: Settings
    registry: Registry
    governors: Governors
    host: Host  # unless `open` it lends `settings`, `data_dir` and `clock` alone
    tables: Sequence[Tables]
    clock: Clock
    ledger: Ledger | None  # unless `open` a copy, which nothing can be mended in; None: it cannot be read
    open: bool  # the core that examines has it open
    running: bool  # a server works on it: this one, or another that could not be asked
    fix: bool  # mend what is safe
    orphans: Orphans | None = None  # None: at rest

    @property
    def data_dir(self) -> Path:
        """Where it is."""
        return self.settings.data_dir


Check = Callable[[Installation], Awaitable[Iterable[Finding]]]
"""Looks at one concern. What blocks goes to a worker thread."""


def found(check: str, *, worse: Sequence[Finding], well: str) -> Sequence[Finding]:
    """What was found, or that all is well."""
    return worse or [Finding(check=check, severity="ok", message=well)]
