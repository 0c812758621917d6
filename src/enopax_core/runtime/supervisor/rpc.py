"""XML-RPC over supervisord's Unix socket. (`supervisorctl` would cost a Python start for each call.)"""

from __future__ import annotations

import http.client
import os
import socket
import xmlrpc.client
from collections.abc import Callable
from pathlib import Path
from typing import Any

from enopax_core.errors import RuntimeUnavailable

SECONDS = 10.0  # supervisord answers in milliseconds: what takes longer is frozen
# Faults of supervisor.xmlrpc.Faults that say that there was nothing to do.
BAD_NAME, ALREADY_STARTED, NOT_RUNNING, ALREADY_ADDED, STILL_RUNNING = 10, 60, 70, 90, 91


class Fault(Exception):
    """supervisord refused a call."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(SECONDS)
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _Connection(self._path)
        self._connection = (host, connection)  # what `close` closes
        return connection


def call(path: Path, method: str, *arguments: Any) -> Any:
    """Call a method such as `supervisor.startProcess`; blocks for some milliseconds. Raises RuntimeUnavailable, Fault."""
    proxy = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=_Transport(path), allow_none=True)
    try:
        function: Callable[..., Any] = getattr(proxy, method)
        return function(*arguments)
    except xmlrpc.client.Fault as fault:
        raise Fault(fault.faultCode, fault.faultString) from fault
    except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
        raise RuntimeUnavailable(f"supervisord does not answer ({type(error).__name__}).") from error
    finally:
        proxy("close")()
