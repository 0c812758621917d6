"""Tells a service manager how far the server is (sd_notify(3)): a datagram, and nothing where nobody asked for it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping


def notify(environ: Mapping[str, str], state: str) -> None:
    """Send `READY=1` or `STOPPING=1` to the socket that `NOTIFY_SOCKET` names; a manager that is gone is no error."""
    address = environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto(state.encode(), f"\0{address[1:]}" if address[0] == "@" else address)
