"""The transport of a connection, closed so that its last answer arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class LingeringTransport:
    """A TCP transport whose `close` lets a client that still sends finish first, or gives up after a time.

    Closing a socket with unread bytes makes TCP answer with a reset, and a reset destroys what the client has not read
    yet: the 413 to a body too large would never be seen. So the writing half is closed first and what comes is discarded.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        *,
        loop: asyncio.AbstractEventLoop,
        still_sending: Callable[[], bool],
        seconds: float,
    ) -> None:
        self._transport, self._loop, self._still_sending = transport, loop, still_sending
        self.seconds = seconds
        self.write = transport.write
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False

    def is_closing(self) -> bool:
        """Whether nothing is sent or understood any more."""
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        """Send what is written, then end; with patience for a client that still sends."""
        if self.is_closing():
            return
        if not self._still_sending():
            self.end()
            return
        self._closing = True
        self._timer = self._loop.call_later(self.seconds, self._transport.abort)
        try:
            self._transport.write_eof()
            self._transport.resume_reading()
        except (OSError, RuntimeError):  # the client has gone meanwhile
            self.end()

    def end(self) -> None:
        """Send what is written, then end."""
        self._closing = True
        self.lost()
        self._transport.close()

    def lost(self) -> None:
        """The connection is no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def pause_reading(self) -> None:
        """As asyncio's; without effect once closing."""
        if not self.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """As asyncio's; without effect once closing."""
        if not self.is_closing():
            self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As asyncio's."""
        return self._transport.get_extra_info(name, default)
