"""An `Operation` in memory, for calling a provider's methods without an engine."""

from __future__ import annotations

import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from enopax_core.errors import Cancelled
from enopax_core.provider.values import STAGES, Outcome
from enopax_core.records.operation import Progress

T = TypeVar("T")


class Handle:
    """Notes what a provider's method reports; the results of its steps can be handed to the next attempt."""

    def __init__(self, *, attempt: int = 1, steps: Mapping[str, Any] | None = None) -> None:
        self.id = "op-scenario"
        self.attempt = attempt
        self.steps: dict[str, Any] = dict(steps or {})
        self.progressed: list[Progress] = []
        self.announced: list[Outcome] = []
        self.cancelled = False
        """Set it, and the next report, announcement or step raises Cancelled."""
        self._lock = threading.Lock()  # progress may come from a thread

    def key(self, step: str) -> str:
        """See Operation."""
        return f"{self.id}/{step}"

    def progress(self, stage: str, message: str = "", percent: int | None = None) -> None:
        """See Operation."""
        self._check()
        with self._lock:
            last = self.progressed[-1].percent if self.progressed else 0
            given = STAGES.get(stage, last) if percent is None else percent
            self.progressed.append(Progress(stage=stage, percent=min(100, max(0, given)), message=message))

    async def announce(self, outcome: Outcome) -> None:
        """See Operation."""
        self._check()
        self.announced.append(outcome)

    async def step(self, name: str, do: Callable[[], Awaitable[T]]) -> T:
        """See Operation. Raises TypeError for a result that is no JSON: a later attempt could not get it back."""
        self._check()
        if name not in self.steps:
            result = await do()
            json.dumps(result)
            self.steps[name] = result
        return self.steps[name]  # type: ignore[no-any-return]  # what `do` gave, or its JSON from an earlier attempt

    def _check(self) -> None:
        if self.cancelled:
            raise Cancelled
