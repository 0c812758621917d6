"""Sees what a function does besides computing: files it writes, connections, processes, sleeps."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

WATCHED = frozenset(  # time.sleep tells of itself from Python 3.13 on
    {"os.system", "socket.connect", "socket.getaddrinfo", "sqlite3.connect", "subprocess.Popen", "time.sleep", "urllib.Request"}
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND


class _Watch(threading.local):
    """What the present thread is being watched for; None: it is not."""

    found: list[str] | None = None


@cache
def _watch() -> _Watch:
    """Install the audit hook, once for the process: Python has no way to take one away again."""
    watch = _Watch()

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if watch.found is None:
            return
        if event in WATCHED:
            watch.found.append(event)
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
            watch.found.append(f"open({arguments[0]!r})")

    sys.addaudithook(audit)
    return watch


@contextmanager
def touches() -> Iterator[list[str]]:
    """Everything that the present thread touches while inside, in words (https://docs.python.org/3/library/audit_events.html)."""
    watch = _watch()
    found: list[str] = []
    watch.found = found
    try:
        yield found
    finally:
        watch.found = None
