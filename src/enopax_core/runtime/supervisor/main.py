"""Becomes supervisord in the working directory, once: where one runs already, another ends with status 3.

A script (`python -I main.py`), so that it loads nothing of Enopax. It returns at once; supervisord goes on in a session of
its own, nobody's child.
"""

import fcntl
import os
import sys
import time

from supervisor.supervisord import main

RUNS_ALREADY = 3
LOOKS_SECONDS = 0.2  # whoever looks whether one runs has the lock for some microseconds
HIGHEST_KEPT = 4  # supervisord closes every descriptor from 5 on when it starts

if __name__ == "__main__":
    lock = os.open("supervisord.lock", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if lock > HIGHEST_KEPT:
        raise SystemExit(f"supervisord would close its lock (descriptor {lock})")
    until = time.monotonic() + LOOKS_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > until:
                sys.exit(RUNS_ALREADY)
            time.sleep(0.01)
    if os.fork() != 0:
        os._exit(0)
    os.setsid()
    main(["--nodaemon", "--configuration", "/proc/self/cwd/supervisord.conf"])
