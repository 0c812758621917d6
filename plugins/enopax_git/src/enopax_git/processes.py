"""Command lines and environments of the Git processes that serve. Built without I/O; no word of a customer is an option."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Service = Literal["upload-pack", "receive-pack"]
PROTOCOL = re.compile(r"^version=[0-2](:version=[0-2])*$")
CONFIG = {
    "core.fsync": "all",  # a push that was acknowledged survives a power cut
    "core.logAllRefUpdates": "false",
    "gc.auto": "0",  # maintenance is a scheduled operation: a push must not wait for it
    "receive.autogc": "false",
    "receive.fsckObjects": "true",  # off by default
    "receive.advertisePushOptions": "false",
    "transfer.hideRefs": "refs/enopax",
    "uploadpack.allowFilter": "true",
    "safe.bareRepository": "all",
}


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a caller may do with one repository."""

    resource: str
    directory: Path
    service: Service
    limit: int | None = None  # bytes that the repository may hold
    used: int = 0  # bytes that it holds


def command(access: Access, hooks: Path, *options: str) -> list[str]:
    """The Git command that serves; `options` are ours (`--stateless-rpc`)."""
    settings = dict(CONFIG)
    settings["core.hooksPath"] = str(hooks)
    if access.limit is not None:
        settings["receive.maxInputSize"] = str(input_limit(access.limit, access.used))
    given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return ["git", *given, access.service, *options, "--", str(access.directory)]


def input_limit(limit: int, used: int) -> int:
    """Bytes after which Git cuts a push off, before it fills the disk.

    More than there is room for: our hook refuses exactly, and says by how much. 0 would mean no limit to Git.
    """
    room = max(0, limit - used)
    return room + min(max(room // 8, 1 << 20), 64 << 20)


def environment(access: Access, protocol: str | None) -> dict[str, str]:
    """Everything that the Git process sees: of the client, only the protocol version, and only where it looks like one."""
    found = {
        "PATH": os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin"),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
    }
    if access.limit is not None:
        found["ENOPAX_LIMIT"], found["ENOPAX_USED"] = str(access.limit), str(access.used)
    if protocol is not None and PROTOCOL.fullmatch(protocol):
        found["GIT_PROTOCOL"] = protocol
    return found


def as_json(access: Access, argv: list[str]) -> Mapping[str, object]:
    """For the process that serves SSH: it is told what to run and decides nothing."""
    return {"argv": argv, "resource": access.resource, "limit": access.limit, "used": access.used}


SSH_COMMAND = re.compile(r"^git[- ](?P<service>upload-pack|receive-pack) (?:'(?P<quoted>[^']+)'|(?P<bare>[^\s'\"\\]+))$")
PATH = re.compile(r"^/?(?P<organisation>[a-z0-9-]+)/(?P<project>[a-z0-9-]+)/(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*?)(?:\.git)?/?$")


def parse_ssh(line: str) -> tuple[Service, str] | None:
    """Service and path of an SSH command: exactly one argument, quoted once or not at all; None: anything else."""
    match = SSH_COMMAND.fullmatch(line)
    if match is None:
        return None
    service: Service = "upload-pack" if match["service"] == "upload-pack" else "receive-pack"
    return service, match["quoted"] or match["bare"]


def parse_path(path: str) -> tuple[str, str, str] | None:
    """Organisation, project and name in an address; None: it is none."""
    match = PATH.fullmatch(path)
    return None if match is None else (match["organisation"], match["project"], match["name"])
