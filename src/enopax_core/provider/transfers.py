"""What a custom endpoint takes and gives that is too long, or too strange, to be JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
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


@dataclass(frozen=True, kw_only=True)
class Upload:
    """The body of a request that is a file, given to a method's parameter `upload` while it still comes in."""

    pieces: AsyncIterator[bytes] = field(repr=False)
    """To be taken once, to the end or to wherever the method knows enough. Raises what the caller shall hear when the client goes
    away, falls silent for a minute, or sends more than the endpoint's `body_limit`: the file is not whole then."""
