"""The hooks of the plugin, and what they share for each core (several may run in one process)."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from enopax_core import Change, Event, Finding, Host, Presented, Principal, Provider, Route, Tables, Transaction, hookimpl
from enopax_core.errors import Fault, Invalid
from enopax_git import access, backup
from enopax_git.access import ENDPOINT, TOKEN_PREFIX
from enopax_git.fingerprints import fingerprint
from enopax_git.service import DIRECTORY, GitService
from enopax_git.settings import GitSettings

enopax_settings = {"git": GitSettings}
_services: WeakKeyDictionary[Host, GitService] = WeakKeyDictionary()


def _service(host: Host) -> GitService:
    """What the hooks of one core share."""
    if host not in _services:
        _services[host] = GitService(host)
    return _services[host]


@hookimpl
def enopax_providers(host: Host) -> Iterable[Provider[Any]]:
    """The provider `git-repo`."""
    return [_service(host).provider]


@hookimpl
def enopax_tables() -> Iterable[Tables]:
    """Which public keys reach which repositories."""
    return [Tables(section="git", folder=files("enopax_git") / "sql")]


@hookimpl
def enopax_permissions() -> Mapping[str, Collection[str]]:
    """`git:pull` and `git:push`, for members and above."""
    return access.PERMISSIONS


@hookimpl
def enopax_lifespan(host: Host) -> contextlib.AbstractAsyncContextManager[None]:
    """Serve SSH while the core is open."""
    return _service(host).running()


@hookimpl
def enopax_routes(host: Host) -> Iterable[Route]:
    """Smart HTTP below `/git/`; it authenticates by itself, because Git's clients sign in with Basic."""
    app = _service(host).http
    return [Route(path="/git/{rest:path}", app=app, access="own", methods=("GET", "POST"), body_limit=None)]


@hookimpl
async def enopax_authenticate(host: Host, presented: Presented) -> Principal | None:
    """The bearer of a public key or of a repository's HTTP token."""
    if presented.ssh_key is not None:
        return await access.principal_of_key(host, presented.ssh_key)
    if presented.basic is not None and presented.basic[1].startswith(TOKEN_PREFIX):
        return await access.principal_of_token(host, presented.basic[1])
    return None


@hookimpl
def enopax_accept(change: Change, transaction: Transaction) -> None:
    """Keep the public keys in the transaction that accepts them: a change of `sshKeys` takes effect at once."""
    if change.endpoint != ENDPOINT:
        return
    if change.type == "purge" and change.before is not None:
        transaction.execute("git.drop_keys", resource=change.before.id)
    if change.type not in ("provision", "update") or change.after is None:
        return
    if change.before is not None and change.before.ssh_keys == change.after.ssh_keys:
        return
    transaction.execute("git.drop_keys", resource=change.after.id)
    for number, key in enumerate(change.after.ssh_keys):
        found = fingerprint(key)
        if found is None:
            raise Invalid(faults=[Fault(f"/sshKeys/{number}", "This is not an OpenSSH public key.")])
        transaction.execute("git.add_key", fingerprint=found, resource=change.after.id)


@hookimpl
def enopax_backup(host: Host, folder: Path) -> None:
    """Every repository, deleted ones included, and the SSH host key."""
    backup.back_up(host.data_dir / DIRECTORY, folder)


@hookimpl
def enopax_restore(host: Host, folder: Path) -> None:
    """The same in its place: clients go on with the host key they know."""
    backup.restore(folder, host.data_dir / DIRECTORY)


@hookimpl
async def enopax_examine(host: Host, running: bool) -> Iterable[Finding]:
    """Whether the SSH server answers with the installation's host key; at rest, whether it could listen."""
    return [await _service(host).examined(running=running)]


@hookimpl
async def enopax_event(host: Host, event: Event) -> None:
    """Something happened to a repository: end what it does not admit any more."""
    if event.resource is not None and not event.type.endswith("progress"):
        await _service(host).recheck(event.resource)
