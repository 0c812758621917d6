"""To whom it is told how far something is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """An operation, or whoever else makes a server."""

    def progress(self, stage: str, message: str = "") -> None:
        """Report a stage. Raises Cancelled when it shall end."""


class Quiet:
    """Nobody watches, and nobody ends it: a spare is made, or what was is put back."""

    def progress(self, stage: str, message: str = "") -> None:
        """Say nothing."""
