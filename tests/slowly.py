"""Runs a command as a slow machine would, one that also stands still now and then: what passes in time alone fails here.

    python -m tests.slowly --share 0.3 -- python -m pytest -o timeout=900 tests/acceptance/test_cli.py

The command and everything it has started are stopped (SIGSTOP) for most of each fifth of a second, and at random for longer.
What a test has stopped itself stays stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import random
import subprocess
import sys
import time

import psutil

PERIOD = 0.2  # seconds
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h: orphans, such as supervisord, stay below this process and are found


def run(command: list[str], share: float, stall: float, every: float) -> int:
    """Run a command with a share of the time, and stalls of so many seconds, `every` seconds on average; its exit status."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = subprocess.Popen(command)
    next_stall = time.monotonic() + random.uniform(0, 2 * every)
    while (status := ended(child.pid)) is None:
        time.sleep(PERIOD * share)
        stalls = time.monotonic() > next_stall
        if stalls or share < 1:
            stopped = stop()
            time.sleep(stall if stalls else PERIOD * (1 - share))
            for process in stopped:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()
        if stalls:
            next_stall = time.monotonic() + random.uniform(0, 2 * every)
    child.returncode = status
    return status


def stop() -> list[psutil.Process]:
    """Stop all that runs; twice, for what was started meanwhile."""
    stopped: list[psutil.Process] = []
    for _ in range(2):
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
                    process.suspend()
                    stopped.append(process)
    return stopped


def ended(pid: int) -> int | None:
    """Exit status of the command once it has ended; orphans that have ended are cleared away."""
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            if found[0] == pid:
                return os.waitstatus_to_exitcode(found[1])
    return None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--share", type=float, default=0.3, help="how much of the time it runs, at most 1")
    parser.add_argument("--stall", type=float, default=5, help="seconds that a stall lasts")
    parser.add_argument("--every", type=float, default=20, help="seconds between two stalls, on average")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    sys.exit(run(options.command, options.share, options.stall, options.every))
