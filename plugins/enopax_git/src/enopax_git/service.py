"""What the hooks of one core share: the store, the gate, both transports."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from importlib import import_module
from urllib.parse import urlsplit

from prometheus_client import Counter, Histogram

from enopax_core import Finding, Host
from enopax_git.access import Gate
from enopax_git.githooks import write_hooks
from enopax_git.provider import GitProvider
from enopax_git.settings import GitSettings
from enopax_git.smart_http import SmartHttp
from enopax_git.sshd.frontend import SshFrontend
from enopax_git.store import Store

PREFIX = "/git"
DIRECTORY = "git"  # in the data directory
SSH_PORT = 22  # where the short form `git@host:path` works


class GitService:
    """Composes the plugin for one core."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._settings = host.settings("git", GitSettings)
        root = host.data_dir / DIRECTORY
        self._store, self._root, self._hooks = Store(root), root, root / "hooks"
        self.provider = GitProvider(self._store, self._settings.free_bytes, self.addresses, self._revoke)
        self._gate = Gate(host, self._store, {plan.id: plan.limits["bytes"] for plan in self.provider.plans})
        self._transfers = Counter(
            "enopax_git_transfers", "Git transfers.", ("transport", "service", "result"), registry=host.registry
        )
        self._seconds = Histogram(
            "enopax_git_transfer_seconds", "Time of a Git transfer.", ("transport", "service"), registry=host.registry
        )
        self.http = SmartHttp(host, self._gate, prefix=PREFIX, hooks=self._hooks, finished=self._finished)
        self._ssh = SshFrontend(
            host,
            self._gate,
            root=root,
            hooks=self._hooks,
            address=(self._settings.ssh_host, self._settings.ssh_port),
            finished=self._finished,
        )
        self._ssh_address = (self._public_host(), self._settings.ssh_port)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve SSH. Raises StartupError where nobody may listen there."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._store.prepare()
        write_hooks(self._hooks)
        self._host.on_revoked(self._ssh.revoked)
        self._host.on_revoked(self.http.revoked)
        async with self._ssh.running() as (_, port):
            self._ssh_address = (self._public_host(), port)
            self._host.publish_address("ssh", {"host": self._ssh_address[0], "port": port})
            yield

    async def examined(self, *, running: bool) -> Finding:
        """Whether the SSH server is in order."""
        # asyncssh takes 0.3 s, which only this and the SSH server's own process should pay, and not the event loop
        examine = await asyncio.to_thread(import_module, "enopax_git.examine")
        if running:
            with contextlib.suppress(TimeoutError):  # told below
                await self._ssh.ready()  # a server that has only just started takes connections in a moment
            return await examine.answering(self._settings.ssh_host, self._ssh_address[1], self._root)  # type: ignore[no-any-return]  # imported late
        return await asyncio.to_thread(examine.free, self._settings.ssh_host, self._settings.ssh_port)

    async def recheck(self, resource: str) -> None:
        """Something happened to a resource."""
        await self._ssh.recheck(resource)
        await self.http.recheck(resource)

    def addresses(self, path: str) -> Mapping[str, str]:
        """Clone addresses of `organisation/project/name`."""
        host, port = self._ssh_address
        ssh = f"git@{host}:{path}.git" if port == SSH_PORT else f"ssh://git@{host}:{port}/{path}.git"
        url = self._host.public_url
        return {"ssh": ssh, **({"http": f"{url}{PREFIX}/{path}.git"} if url else {})}

    def _public_host(self) -> str:
        """Where people reach the SSH server: nobody reaches "every address", so there it is where they reach the API."""
        listens = self._settings.ssh_host
        everywhere = listens in ("0.0.0.0", "::")  # noqa: S104  # compared with, not listened on
        api = urlsplit(self._host.public_url or "").hostname if everywhere else None
        return self._settings.public_host or api or listens

    def _revoke(self, credential: str) -> None:
        self._host.revoked(credential)

    def _finished(self, transport: str, service: str, ok: bool, seconds: float) -> None:
        self._transfers.labels(transport, service, "ok" if ok else "failed").inc()
        self._seconds.labels(transport, service).observe(seconds)
