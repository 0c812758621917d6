"""What a service's process is before it becomes the service: takes its lock, limits and drops it, then executes it.

Run as a script (`python -I -S launch.py SPECIFICATION`), so it imports the standard library alone; the runtime imports the
functions about locks from here too.

A service holds an flock on a file of its own from before it is executed to the death of the last process that inherited
it. So a second copy cannot start while anything of the first lives, and whatever lives unsupervised (the supervisor was
killed) is found. A record beside it names the main process, with its start time, because process ids are used again. The
service never gets the record in its hands: root acts on it.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38  # <linux/prctl.h>
NOT_STARTED = 127  # the shell's status for a command that could not be executed


def start_of(pid: int) -> int | None:
    """When a process began, in clock ticks since boot (field 22 of proc_pid_stat(5)); None: there is none, or a dead one."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


# ── What lives of a service ───────────────────────────────────────────────────────────────────────────────────────────


def read_record(lock: Path) -> dict[str, Any]:
    """What the last process wrote of itself: `pid`, `start`, `generation`, `starts`, `since`; empty where none has."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        found = json.loads(lock.with_suffix(".json").read_bytes())
        return found if isinstance(found, dict) else {}
    return {}


def main_process(lock: Path) -> int | None:
    """Process id of the service's main process, if it lives."""
    record = read_record(lock)
    pid = record.get("pid")
    return pid if isinstance(pid, int) and start_of(pid) == record.get("start") is not None else None


def is_held(lock: Path) -> bool:
    """Whether a process of the service has the lock. Looking takes it as a reader for a moment, which nobody counts."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def holders(lock: Path) -> set[int]:
    """Processes that have the lock."""
    try:
        wanted = lock.stat()
    except FileNotFoundError:
        return set()
    found = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):  # it has ended, or is another user's
                for descriptor in os.scandir(f"/proc/{entry.name}/fd"):
                    with contextlib.suppress(OSError):
                        is_open = descriptor.stat()
                        if (is_open.st_dev, is_open.st_ino) == (wanted.st_dev, wanted.st_ino) and _has_lock(entry, descriptor):
                            found.add(int(entry.name))
    return found


def _has_lock(process: os.DirEntry[str], descriptor: os.DirEntry[str]) -> bool:
    """Whether it is the lock's descriptor and not that of somebody who looks (proc_pid_fdinfo(5))."""
    lines = Path(f"/proc/{process.name}/fdinfo/{descriptor.name}").read_text().splitlines()
    return any(line.startswith("lock:") and " WRITE " in line for line in lines)


def end(lock: Path, stop_signal: int, seconds: float) -> None:
    """End what lives of a service: asked by a signal, killed when anything is left after `seconds`."""
    main = main_process(lock)
    if main is None and not is_held(lock):
        return
    _send(stop_signal, holders(lock) if main is None else {main})
    until = time.monotonic() + seconds
    while is_held(lock) or (main is not None and main_process(lock) == main):
        if time.monotonic() > until:
            _send(signal.SIGKILL, holders(lock) | ({main} if main is not None else set()))
        time.sleep(0.02)
    if main is not None:  # what it has started and what closed the inherited lock
        with contextlib.suppress(ProcessLookupError):
            os.killpg(main, signal.SIGKILL)


def _send(number: int, pids: set[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


# ── Becoming the service ──────────────────────────────────────────────────────────────────────────────────────────────


def hold(specification: dict[str, Any]) -> None:
    """Take the service's lock for this process and all it will start, and record who it is. What lives of it ends first."""
    lock, stop = Path(specification["lock"]), specification["stop"]
    descriptor = os.open(lock, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    while True:
        end(lock, signal.Signals[f"SIG{stop['signal']}"], stop["seconds"])
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:  # somebody looked
            time.sleep(0.01)
    before, generation = read_record(lock), specification["generation"]
    starts = before.get("starts", 0) + 1 if before.get("generation") == generation else 1
    now = time.clock_gettime(time.CLOCK_BOOTTIME)  # from here on it is the program that may fail
    record = {"pid": os.getpid(), "start": start_of(os.getpid()), "generation": generation, "starts": starts, "since": now}
    written = lock.with_suffix(".new")
    written.write_text(json.dumps(record))
    written.rename(lock.with_suffix(".json"))
    os.set_inheritable(descriptor, True)


def limit(specification: dict[str, Any]) -> None:
    """Keep it within what it may use."""
    if specification.get("cgroup"):
        Path(specification["cgroup"], "cgroup.procs").write_text(str(os.getpid()))
    for name, value in specification.get("rlimits", {}).items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
    if specification.get("nice"):
        os.nice(specification["nice"])


def drop(specification: dict[str, Any]) -> None:
    """Become the unprivileged user for good: nothing it executes can gain privileges."""
    if specification.get("uid") is not None:
        os.setgroups([])
        os.setresgid(specification["gid"], specification["gid"], specification["gid"])
        os.setresuid(specification["uid"], specification["uid"], specification["uid"])
        _prctl(PR_SET_NO_NEW_PRIVS, 1)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def main(path: str) -> None:
    """Execute what the specification says; return only by an exception."""
    specification = json.loads(Path(path).read_bytes())
    if specification.get("lock"):
        hold(specification)
    limit(specification)
    drop(specification)
    if specification.get("parent"):  # a command, not a service: it ends with whoever waits for it
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # after dropping, which clears it
        if os.getppid() != specification["parent"]:
            sys.exit(NOT_STARTED)
    os.umask(0o077)
    os.chdir(specification["directory"])
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # Python's own choice, which would be inherited
        signal.signal(ignored, signal.SIG_DFL)
    command = specification["command"]
    os.execvpe(command[0], command, specification["environment"])  # noqa: S606  # what this is for


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except OSError as error:
        named = f": {error.filename}" if error.filename else ""
        sys.stderr.write(f"enopax: it cannot be started: {error.strerror}{named}\n")
        sys.exit(NOT_STARTED)
