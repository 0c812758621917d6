"""Verifies the audit log: finds what was changed, cut out, put in, or cut off at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from enopax_core.records.audit import Anchor, AuditEntry

MOST = 100
"""Breaks that are told: where there are more, the first say enough."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Break:
    """A place where the log is not what was written."""

    position: int
    message: str


@dataclass(kw_only=True)
class Verification:
    """Takes the entries in order, page by page; `breaks` is empty as long as everything fits."""

    anchors: Sequence[Anchor] = ()  # kept elsewhere: what they name must still be there
    head: Anchor | None = None  # of the last entry taken
    entries: int = 0
    unchained: int = 0  # from before there was a chain: nothing protects them
    breaks: list[Break] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """What came of it, for programs."""
        return {
            "intact": not self.breaks,
            "entries": self.entries,
            "unchained": self.unchained,
            "anchor": str(self.head) if self.head is not None and self.head.hash else "",
            "breaks": [{"position": one.position, "message": one.message} for one in self.breaks],
        }

    def take(self, page: Sequence[AuditEntry]) -> None:
        """The following entries."""
        for entry in page:
            self._take(entry)

    def finish(self, head: Anchor | None) -> None:
        """No more entries. `head`: where the log says that it ends; None where it says nothing (an exported file)."""
        last = self.head.position if self.head is not None else 0
        if head is not None and last < head.position:
            self._broken(last + 1, f"Entries {last + 1} to {head.position} were cut off at the end.")
        elif head is not None and self.head is not None and self.head != head:
            self._broken(last, f"The log says that it ends with entry {head.position} and another hash.")
        for anchor in self.anchors:
            if anchor.position > last:
                self._broken(anchor.position, f"Entry {anchor.position}, which the anchor names, is missing.")

    def _take(self, entry: AuditEntry) -> None:
        expected, before = (1, "") if self.head is None else (self.head.position + 1, self.head.hash)
        if entry.position != expected:
            missing = f"Entries {expected} to {entry.position - 1} are missing."
            self._broken(expected, missing if entry.position > expected else f"Entry {entry.position} is out of order.")
        if entry.hash is None and before == "":
            self.unchained += 1
        elif entry.hash is None:
            self._broken(entry.position, f"Entry {entry.position} has no hash.")
        elif entry.digest() != entry.hash:
            self._broken(entry.position, f"Entry {entry.position} was changed.")
        elif entry.previous != before and entry.position == expected:
            self._broken(entry.position, f"Entry {entry.position} does not follow the one before it: that was replaced.")
        for anchor in self.anchors:
            if anchor.position == entry.position and anchor.hash != entry.hash:
                self._broken(entry.position, f"Entry {entry.position} is not the one that the anchor names.")
        self.entries += 1
        self.head = Anchor(position=entry.position, hash=entry.hash or "")

    def _broken(self, position: int, message: str) -> None:
        if len(self.breaks) < MOST:
            self.breaks.append(Break(position=position, message=message))
