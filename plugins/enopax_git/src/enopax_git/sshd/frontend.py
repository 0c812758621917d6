"""The parent's side of the SSH server: keeps the child alive, answers its questions, ends sessions that lost their right."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from enopax_core import Host, Presented, Principal
from enopax_core.errors import EnopaxError, StartupError
from enopax_git.access import Gate, Refused
from enopax_git.backup import HOST_KEY
from enopax_git.processes import Access, Service, command, environment
from enopax_git.sshd.channel import Channel, Message

log = logging.getLogger(__name__)
LONGEST_PAUSE = 30.0  # seconds between starts of a child that dies at once
READY_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Session:
    """A Git process that the child runs."""

    principal: Principal
    access: Access
    began: float


Finished = Callable[[str, str, bool, float], None]
"""Hears of a transfer's end: transport, service, success, seconds."""


class SshFrontend:
    """The SSH server, from `running` to its end."""

    def __init__(self, host: Host, gate: Gate, *, root: Path, hooks: Path, address: tuple[str, int], finished: Finished) -> None:
        self._host, self._gate, self._hooks, self._finished = host, gate, hooks, finished
        self._host_key = root / HOST_KEY
        self._address = address
        self._sessions: dict[int, Session] = {}
        self._numbers = itertools.count(1)
        self._channel: Channel | None = None
        self._ready = asyncio.Event()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[str, int]]:
        """Listen; gives host and port. Raises StartupError where nobody may listen there."""
        ensure_host_key(self._host_key)
        with contextlib.closing(listen(*self._address)) as listener:
            task = asyncio.create_task(self._keep_alive(listener))
            try:
                yield self._address[0], listener.getsockname()[1]
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def ready(self) -> None:
        """Wait until the child takes connections; those that come earlier wait in the listener's queue."""
        async with asyncio.timeout(READY_SECONDS):
            await self._ready.wait()

    async def recheck(self, resource: str) -> None:
        """Something happened to a resource: end the sessions that it does not admit any more."""
        for number, session in list(self._sessions.items()):
            if session.access.resource == resource:
                principal = await self._again(session.principal)
                if principal is None or not await self._gate.still(principal, resource, session.access.service):
                    self._kill(number)

    def revoked(self, credential: str) -> None:
        """A credential stopped being valid: end its sessions."""
        for number, session in list(self._sessions.items()):
            if session.principal.credential == credential:
                self._kill(number)

    async def _again(self, principal: Principal) -> Principal | None:
        """The bearer of the same key, as of now."""
        try:
            return await self._host.authenticate(Presented(address="", ssh_key=principal.credential))
        except EnopaxError:
            return None

    def _kill(self, number: int) -> None:
        if self._channel is not None:
            self._channel.tell(tell="kill", session=number)

    # ── The child ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _keep_alive(self, listener: socket.socket) -> None:
        pause = 0.0
        while True:
            began = time.monotonic()
            await self._run_child(listener)
            pause = 0.1 if time.monotonic() - began > LONGEST_PAUSE else min(LONGEST_PAUSE, max(0.1, pause * 2))
            log.error("The SSH server has died; it is started again in %.1f s.", pause)
            await asyncio.sleep(pause)

    async def _run_child(self, listener: socket.socket) -> None:
        ours, theirs = socket.socketpair()
        with contextlib.closing(theirs):
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "enopax_git.sshd.server", str(theirs.fileno()), str(listener.fileno()), str(self._host_key)),
                pass_fds=(theirs.fileno(), listener.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                env={name: os.environ[name] for name in ("PATH", "LANG", "VIRTUAL_ENV") if name in os.environ},
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        channel = self._channel = Channel(reader, writer)
        tasks: set[asyncio.Task[None]] = set()
        try:
            async for message in channel.messages():
                if "call" in message:
                    task = asyncio.create_task(self._answer(channel, message))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                elif message["tell"] == "ready":
                    self._ready.set()
                elif message["tell"] == "ended":
                    self._ended(int(message["session"]), ok=bool(message["ok"]))
        finally:
            self._channel = None
            channel.close()
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
            for number in list(self._sessions):
                self._ended(number, ok=False)

    def _ended(self, number: int, *, ok: bool) -> None:
        session = self._sessions.pop(number, None)
        if session is not None:
            self._finished("ssh", session.access.service, ok, time.monotonic() - session.began)

    # ── Its questions ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _answer(self, channel: Channel, message: Message) -> None:
        try:
            answer = await (self._identify(message) if message["call"] == "identify" else self._open(message))
        except Refused as error:
            answer = {"refused": str(error), "known": False}
        except EnopaxError as error:
            answer = {"refused": error.message, "known": False}
        except Exception:  # a session fails, the server goes on
            log.exception("The SSH server's question could not be answered.")
            answer = {"refused": "Something went wrong on the server.", "known": False}
        channel.tell(id=message["id"], **answer)

    async def _identify(self, message: Message) -> Message:
        await self._principal(message)
        return {"known": True}

    async def _open(self, message: Message) -> Message:
        service: Service = "upload-pack" if message["service"] == "upload-pack" else "receive-pack"
        principal = await self._principal(message)
        access = await self._gate.open(principal, str(message["path"]), service)
        number = next(self._numbers)
        self._sessions[number] = Session(principal=principal, access=access, began=time.monotonic())
        env: Mapping[str, str] = environment(access, message.get("protocol"))
        return {"session": number, "argv": command(access, self._hooks), "env": dict(env)}

    async def _principal(self, message: Message) -> Principal:
        presented = Presented(address=str(message["address"]), ssh_key=str(message["fingerprint"]))
        return await self._host.authenticate(presented)


def ensure_host_key(path: Path) -> None:
    """Make the host key on the first start; it stays, or every client would warn of an attack."""
    if path.exists():
        return
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises StartupError where nobody may listen there."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        raise StartupError(
            f"The SSH server cannot listen on {host} port {port}: {error.strerror or error}. Choose another --ssh-port."
        ) from error
    return listener
