"""What a custom endpoint gives that is too long, or too strange, to be JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Sink = Callable[[bytes], Awaitable[None]]
"""Takes one piece, and returns once there is room for the next."""


@dataclass(frozen=True, kw_only=True)
class Download:
    """The answer of a GET that is a file, sent as it comes into being.

    A method that answers so says it by its annotation, `-> Download`; it looks and refuses before, and returns at once.
    """

    filename: str  # that a browser proposes
    write: Callable[[Sink], Awaitable[None]] = field(repr=False)
    """Gives every piece to the sink. Cancelled when the client goes away or takes nothing more. What it raises before the
    first piece is the answer; later it breaks the connection off, so that nobody takes the file for whole."""
