"""Configuration files of supervisord. Every path is relative to its working directory, so that none needs quoting."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

from enopax_core.runtime.service import Service

# Through /proc the socket's path is short wherever the data directory lies: 107 bytes are all that unix(7) allows.
MAIN = {
    "unix_http_server": {"file": "/proc/self/cwd/supervisord.sock", "chmod": "0600"},
    "rpcinterface:supervisor": {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface",
    },
    "include": {"files": "programs/*.conf"},
}
RETRIES = 1_000_000  # each waits a second longer than the one before: it never gives up
RESTART = {"always": "true", "on-failure": "unexpected", "never": "false"}


def main_config() -> str:
    """`supervisord.conf`."""
    daemon = {"logfile": "supervisord.log", "logfile_maxbytes": "1MB", "logfile_backups": "1", "pidfile": "supervisord.pid"}
    if os.geteuid() == 0:
        daemon["user"] = "root"  # meant so: each service drops its own privileges
    return _written({"supervisord": daemon, **MAIN})


def program_config(service: Service) -> str:
    """`programs/ID.conf`. What holds secrets stands in the specification, which only the launched process reads."""
    program = {
        "command": f"./python -I -S launch.py specifications/{service.id}.json",
        "autostart": "true",
        "autorestart": RESTART[service.restart],
        "exitcodes": "0",
        "startsecs": "1",
        "startretries": str(RETRIES),
        "stopsignal": service.stop.signal,
        "stopwaitsecs": str(math.ceil(service.stop.seconds)),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": f"logs/{service.id}.log",
        "stdout_logfile_maxbytes": str(service.log.size),
        "stdout_logfile_backups": str(max(0, service.log.files - 1)),
    }
    return _written({f"program:{service.id}": program})


def _written(sections: Mapping[str, Mapping[str, str]]) -> str:
    lines: list[str] = []
    for name, section in sections.items():
        lines += [f"[{name}]", *(f"{key} = {value}" for key, value in section.items()), ""]
    return "\n".join(lines)
