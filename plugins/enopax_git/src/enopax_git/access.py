"""Who may reach which repository. The core authenticates, resolves and authorises; this asks it, for SSH and HTTP alike."""

from __future__ import annotations

import asyncio
import hmac
from typing import TYPE_CHECKING

from enopax_core import Principal, ResourceRecord, Status, Target
from enopax_git.processes import Access, Service, parse_path
from enopax_git.store import Store

if TYPE_CHECKING:
    from enopax_core import Host

ENDPOINT = "git-repo"
PULL, PUSH = "git:pull", "git:push"
PERMISSIONS = {PULL: ("member",), PUSH: ("member",)}
TOKEN_PREFIX = "enx_git_"  # noqa: S105  # a prefix, no secret
NOT_FOUND = "There is no such repository, or you may not see it."


class Refused(Exception):
    """Why somebody may not pass, in words for the person at the terminal."""


class Gate:
    """Opens repositories to callers."""

    def __init__(self, host: Host, store: Store, plan_bytes: dict[str, int]) -> None:
        self._host, self._store, self._plan_bytes = host, store, plan_bytes

    async def open(self, principal: Principal, path: str, service: Service) -> Access:
        """What a caller may do with the repository of an address. Raises Refused."""
        record = await self._find(path)
        if record is None:
            raise Refused(NOT_FOUND)
        await self._check(principal, record, service)
        used = 0
        limit = self._plan_bytes.get(record.plan or "") if service == "receive-pack" else None
        if limit is not None:
            used = await asyncio.to_thread(self._store.size, record.id)
        return Access(resource=record.id, directory=self._store.path(record.id), service=service, limit=limit, used=used)

    async def still(self, principal: Principal, resource: str, service: Service) -> bool:
        """Whether a caller may go on with what is under way."""
        record = await self._host.resources.get(resource)
        try:
            if record is None:
                return False
            await self._check(principal, record, service)
        except Refused:
            return False
        return True

    async def _check(self, principal: Principal, record: ResourceRecord, service: Service) -> None:
        target = Target(organisation=record.organisation, project=record.project, resource=record.id)
        pull = (await self._host.authorise(principal, PULL, [target]))[0]
        push = (await self._host.authorise(principal, PUSH, [target]))[0]
        if not pull or record.status in (Status.DELETED, Status.DELETING):
            raise Refused(NOT_FOUND)
        if record.holds:
            raise Refused("This repository is suspended; its owner knows why.")
        if not record.has_backend:
            raise Refused("This repository is not ready yet.")
        if service == "receive-pack" and not push:
            raise Refused("You may read this repository, but not push to it.")

    async def _find(self, path: str) -> ResourceRecord | None:
        parts = parse_path(path)
        if parts is None:
            return None
        organisation, project, name = parts
        place = await self._host.resolve(organisation, project, by="slug")
        if place is None:
            return None
        return await self._host.resources.find(ENDPOINT, place.project_id, name)


async def principal_of_key(host: Host, fingerprint: str) -> Principal | None:
    """The bearer of a public key: it reaches the repositories that name the key. None: no repository does."""
    rows = await host.ledger.read(lambda t: t.execute("git.resources_of_key", fingerprint=fingerprint))
    if not rows:
        return None
    return Principal(
        id=fingerprint,
        kind="key",
        permissions=frozenset(PERMISSIONS),
        resources=frozenset(row["resource"] for row in rows),
        credential=fingerprint,
        authenticated_at=host.clock(),
    )


async def principal_of_token(host: Host, token: str) -> Principal | None:
    """The bearer of a repository's HTTP token, `enx_git_<id>_<secret>`. None: not the current one."""
    resource = token.removeprefix(TOKEN_PREFIX).partition("_")[0]
    record = await host.resources.get(resource)
    if record is None or record.sealed_credentials is None:
        return None
    current = str(host.vault.open(record.sealed_credentials).get("token", ""))
    if not _same(token, current):
        return None
    return Principal(
        id=f"git:{resource}",
        kind="token",
        permissions=frozenset(PERMISSIONS),
        resources=frozenset({resource}),
        credential=f"git:{resource}",
        authenticated_at=host.clock(),
    )


def _same(one: str, other: str) -> bool:
    """Compare in constant time, whatever characters a client sent."""
    return bool(other) and hmac.compare_digest(one.encode(), other.encode())
