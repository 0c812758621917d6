"""What processes use."""

from __future__ import annotations

import contextlib
import time

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


def _memory(process: psutil.Process) -> int:
    """Its share (PSS): each page of shared memory counts once among all that use it."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
