"""The command lines and the environment of the `git` processes that serve clients. Pure: nothing is run here.

No text of a client ever becomes an option: the repository is an absolute path from the gate after `--`, and of everything a client
sends beside the packs only the protocol version is passed on, if it matches a strict pattern (variables of a client's choosing
were remote code execution elsewhere: CVE-2024-39930).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from enopax_git.plane.gate import Access, Service
from enopax_git.plane.hooks import HARD_LIMIT, LIMIT

__all__ = ["Command", "environment", "input_limit", "serve"]

_PROTOCOL = re.compile(r"version=[0-2](?::[a-z][a-z0-9-]{0,15}(?:=[a-z0-9-]{1,15})?){0,4}", re.ASCII)

_ALWAYS: Mapping[str, str] = {
    "core.fsync": "committed,reference",  # git's default leaves refs to the file system's good will
    "core.fsyncMethod": "fsync",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "advice.detachedHead": "false",
}
_FETCH: Mapping[str, str] = {
    # Partial clones, but only with the filters that cost no more than a full clone.
    "uploadpack.allowFilter": "true",
    "uploadpackfilter.allow": "false",
    "uploadpackfilter.blob:none.allow": "true",
    "uploadpackfilter.blob:limit.allow": "true",
}
_PUSH: Mapping[str, str] = {
    "receive.fsckObjects": "true",  # both are off by default
    "transfer.fsckObjects": "true",
    "receive.autogc": "false",
    # Keep every push as one pack: unpacked, each object would be a file and an fsync of its own (limit 100 by default).
    "transfer.unpackLimit": "1",
    "receive.advertisePushOptions": "false",
}


@dataclass(frozen=True, kw_only=True)
class Command:
    """What to run: an argument list without a shell, and the whole environment of the child."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]


def serve(
    access: Access,
    service: Service,
    *,
    hooks: Path,
    protocol: str | None = None,
    size_bytes: int = 0,
    stateless: bool = False,
    advertise: bool = False,
) -> Command:
    """Build the process that answers one request.

    `hooks` is the shared hooks directory, `protocol` what the client sent as GIT_PROTOCOL or Git-Protocol, `size_bytes` what the
    repository holds now; `stateless` is smart HTTP, `advertise` its first request.
    """
    settings = {**_ALWAYS, "core.hooksPath": str(hooks), **(_PUSH if service is Service.PUSH else _FETCH)}
    limit = input_limit(access, size_bytes)
    if service is Service.PUSH and limit is not None:
        settings["receive.maxInputSize"] = str(limit)
    arguments = ["git"]
    for name, value in settings.items():
        arguments += ["-c", f"{name}={value}"]
    arguments.append(service.subcommand)
    if service is Service.FETCH:
        arguments.append("--strict")  # the path is the repository itself: do not try `<path>/.git`
    if stateless:
        arguments.append("--stateless-rpc")
    if advertise:
        arguments.append("--advertise-refs")
    arguments += ["--", str(access.repository)]
    extra = {} if access.max_bytes is None else {LIMIT: str(access.max_bytes), HARD_LIMIT: str(limit)}
    return Command(arguments=tuple(arguments), environment=environment(protocol, extra))


def input_limit(access: Access, size_bytes: int) -> int | None:
    """Bytes a push may send before git itself stops it; None: no limit.

    Above the exact limit, so that the hook, which can say what is wrong, refuses the near misses; what is far too large is cut off
    early, before it fills the disk. Never 0, which would mean no limit to git.
    """
    if access.max_bytes is None:
        return None
    room = max(access.max_bytes - size_bytes, 0)
    return room + min(max(room // 8, 1 << 20), 64 << 20)


def environment(protocol: str | None = None, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment of a git child: nobody's configuration, nobody's prompts, only fixed variables."""
    variables = {
        "PATH": os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin"),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        **(extra or {}),
    }
    if protocol is not None and _PROTOCOL.fullmatch(protocol):
        variables["GIT_PROTOCOL"] = protocol
    return variables
