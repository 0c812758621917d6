"""What processes use."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import psutil

from enopax_core.runtime.interface import ServiceMetrics


def measure(pid: int | None, restarts: int) -> ServiceMetrics:
    """What a process uses with all its descendants; nothing where it does not run."""
    cpu, memory, uptime = 0.0, 0, 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        if pid is not None:
            main = psutil.Process(pid)
            uptime = max(0.0, time.time() - main.create_time())
            for process in (main, *main.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    times = process.cpu_times()
                    cpu += times.user + times.system + times.children_user + times.children_system
                    memory += _memory(process)
    return ServiceMetrics(cpu_seconds=cpu, memory_bytes=memory, restarts=restarts, uptime_seconds=uptime)


def listens(pid: int, port: int) -> bool:
    """Whether a process or one of its descendants listens at a TCP port; true too where that cannot be seen."""
    try:
        main = psutil.Process(pid)
        for process in (main, *main.children(recursive=True)):
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return True
    except psutil.AccessDenied:
        return True
    except psutil.NoSuchProcess:
        return False
    return False


def waited(process: Path) -> float:
    """Seconds for which a process or thread was ready and had no processor (proc(5), `schedstat`); 0 where that is not known.

    `process` is its directory below `/proc`.
    """
    try:
        return int((process / "schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def _memory(process: psutil.Process) -> int:
    """Its share (PSS): each page of shared memory counts once among all that use it."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
