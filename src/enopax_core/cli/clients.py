"""Which program opens a resource, and how it gets what it needs: secrets by the environment and by files without a name."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from enopax_core.client import Resource

Secrets = Callable[[], Mapping[str, Any]]
"""Reads a resource's credentials, which is audited: asked only where they are needed."""

# Git asks it for a user name and a password; `$1` is what it wants done (gitcredentials(7)).
HELPER = '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n" "$ENOPAX_USERNAME" "$ENOPAX_TOKEN"; }; f'


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to start."""

    command: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Contents by the variable that names their file."""

    def replace_this_process(self) -> None:
        """Start it in the place of this process. Raises FileNotFoundError where it is not installed."""
        environ = {**os.environ, **self.environ}
        for variable, content in self.files.items():
            with tempfile.TemporaryFile() as file:  # it has no name: nothing is left of it once the program has ended
                file.write(content.encode())
                file.flush()
                descriptor = os.dup(file.fileno())
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.set_inheritable(descriptor, True)
            environ[variable] = f"/dev/fd/{descriptor}"
        os.execvpe(self.command[0], list(self.command), environ)  # noqa: S606  # a fixed program, its arguments as they are


def program_for(resource: Resource, arguments: Sequence[str], secrets: Secrets, environ: Mapping[str, str]) -> Program | None:
    """The program that opens a resource, by the addresses it has; None where none is known."""
    addresses = list(resource.connection.values())
    ssh = next((one for one in addresses if one.endswith(".git") and (one.startswith("ssh://") or _is_scp(one))), None)
    http = next((one for one in addresses if one.endswith(".git") and one.startswith(("http://", "https://"))), None)
    if ssh is not None and (resource.ssh_keys or http is None):
        return Program(command=["git", "clone", ssh, *arguments])
    if http is not None:
        return _git_over_http(http, arguments, secrets(), environ)
    database = next((one for one in addresses if one.startswith(("postgresql://", "postgres://"))), None)
    return None if database is None else _psql(database, arguments, secrets())


def _git_over_http(url: str, arguments: Sequence[str], found: Mapping[str, Any], environ: Mapping[str, str]) -> Program:
    number = int(environ.get("GIT_CONFIG_COUNT") or 0)
    settings = {
        "ENOPAX_USERNAME": str(found.get("username", "")),
        "ENOPAX_TOKEN": str(found.get("token", "")),
        "GIT_CONFIG_COUNT": str(number + 1),
        f"GIT_CONFIG_KEY_{number}": f"credential.{'/'.join(url.split('/')[:3])}.helper",
        f"GIT_CONFIG_VALUE_{number}": HELPER,
    }
    return Program(command=["git", "clone", url, *arguments], environ=settings)


def _psql(url: str, arguments: Sequence[str], found: Mapping[str, Any]) -> Program:
    names = {"PGUSER": "username", "PGPASSWORD": "password", "PGDATABASE": "database"}
    environ = {variable: str(found[name]) for variable, name in names.items() if name in found}
    files = {"PGSSLROOTCERT": str(found["ca"])} if "ca" in found else {}
    return Program(command=["psql", url, *arguments], environ=environ, files=files)


def _is_scp(address: str) -> bool:
    """`git@host:path`, as Git reads it."""
    return "://" not in address and "@" in address.partition(":")[0]
