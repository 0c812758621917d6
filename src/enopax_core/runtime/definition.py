"""A service as it is stored: what the process that becomes it must know, and what tells whether it was changed."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from enopax_core.runtime.limits import Enforced
from enopax_core.runtime.service import Service
from enopax_core.runtime.user import User

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def fingerprint(service: Service) -> str:
    """Changes with everything that calls for a restart: all but the resource it serves."""

    def plain(value: object) -> str:
        return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else str(value)

    described = {name: value for name, value in asdict(service).items() if name != "resource"}
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=plain).encode()).hexdigest()


def environment_of(service: Service, directory: Path) -> dict[str, str]:
    """All that a service inherits. The server's own environment may hold its secrets, so nothing of it is passed on."""
    return {"PATH": PATH, "HOME": str(directory), "LANG": "C.UTF-8", **service.environment}


def process_of(service: Service, directory: Path, user: User, enforced: Enforced) -> dict[str, Any]:
    """The specification that `launch` executes, but for the lock."""
    return {
        "command": list(service.command),
        "directory": str(directory),
        "environment": environment_of(service, directory),
        "uid": user.uid if user.dropped else None,
        "gid": user.gid if user.dropped else None,
        "rlimits": dict(enforced.rlimits),
        "nice": enforced.nice,
        "cgroup": str(enforced.cgroup) if enforced.cgroup else None,
    }


def specification_of(service: Service, directory: Path, user: User, enforced: Enforced, lock: Path) -> Mapping[str, Any]:
    """What is stored for a service: the process, and what the runtime must know of it after a restart of its own."""
    return {
        **process_of(service, directory, user, enforced),
        "lock": str(lock),
        "stop": asdict(service.stop),
        "generation": secrets.token_hex(8),  # of this start by `ensure`: restarts are counted from it
        "fingerprint": fingerprint(service),
        "resource": service.resource,
        "limits": dict(enforced.how),
        "probe": asdict(service.readiness) if service.readiness else None,
        "ports": {name: [port.host, port.number] for name, port in service.ports.items()},
    }
