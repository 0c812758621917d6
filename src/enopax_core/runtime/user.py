"""Who services run as."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass

from enopax_core.errors import StartupError

ALREADY_THERE = 9  # useradd(8): "username already in use"


@dataclass(frozen=True, kw_only=True)
class User:
    """A user of the operating system. `dropped`: the server runs as root, and services must not."""

    name: str
    uid: int
    gid: int
    dropped: bool


def service_user(name: str) -> User:
    """The dedicated user, made when it is missing, where the server runs as root; else the server's own.

    Raises: StartupError when it cannot be made.
    """
    if os.geteuid() != 0:
        return User(name=_own_name(), uid=os.geteuid(), gid=os.getegid(), dropped=False)
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        _make(name)
        found = pwd.getpwnam(name)
    if found.pw_uid == 0:
        raise StartupError(f"[runtime] user: services must not run as root ({name}).")
    return User(name=name, uid=found.pw_uid, gid=found.pw_gid, dropped=True)


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # containers with a number for a user
        return str(os.geteuid())


def _make(name: str) -> None:
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    try:
        ended = subprocess.run([*command, "--shell", "/usr/sbin/nologin", name], capture_output=True, text=True, check=False)
        said = ended.stderr.strip() if ended.returncode not in (0, ALREADY_THERE) else ""
    except FileNotFoundError:
        said = "there is no useradd"
    if said:
        raise StartupError(
            f"The user {name}, as whom services run, cannot be made ({said}): make it, or name another by [runtime] user."
        )
