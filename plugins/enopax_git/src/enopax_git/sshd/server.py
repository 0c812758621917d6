"""The child: speaks SSH, asks the parent who may do what, and runs the Git process it is told to.

Run as `python -m enopax_git.sshd.server CHANNEL LISTENER HOSTKEY`, file descriptors and a path. It ends with its parent.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from typing import Any

import asyncssh

from enopax_git.fingerprints import fingerprint_of
from enopax_git.processes import PROTOCOL, parse_ssh
from enopax_git.sshd.channel import Channel

log = logging.getLogger("enopax_git.ssh")
PR_SET_PDEATHSIG = 1
LOGIN_SECONDS = 20
KEEPALIVE_SECONDS = 30
ACK_EVERY, ACK_TIMES = 0.002, 250  # seconds between acknowledgements while a client signs in, and how many
UNAUTHENTICATED_PER_ADDRESS, UNAUTHENTICATED = 32, 256  # asyncssh has no MaxStartups
WINDOW, PACKET = 16 << 20, 128 << 10  # measured: 1 GiB down at 189 MiB/s instead of 168
CIPHERS = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes256-ctr", "aes128-ctr"]
KEX = ["curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "diffie-hellman-group14-sha256"]
MACS = ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"]
SIGNATURES = [
    *("ssh-ed25519", "sk-ssh-ed25519@openssh.com", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    *("sk-ecdsa-sha2-nistp256@openssh.com", "rsa-sha2-512", "rsa-sha2-256"),
]
GREETING = "Hello! This is a Git server: it knows clone, fetch and push, and has no shell.\n"


class Connections:
    """Counts who has not signed in yet."""

    def __init__(self) -> None:
        self._by_address: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Whether one more may try."""
        full = self._by_address[address] >= UNAUTHENTICATED_PER_ADDRESS or self._by_address.total() >= UNAUTHENTICATED
        self._by_address[address] += 1
        return not full

    def leave(self, address: str) -> None:
        """Signed in, or gone."""
        self._by_address[address] -= 1
        if self._by_address[address] <= 0:
            del self._by_address[address]


class Login(asyncssh.SSHServer):
    """One connection until it has signed in."""

    def __init__(self, channel: Channel, connections: Connections) -> None:
        self._channel, self._connections = channel, connections
        self._address, self._counted = "", False
        self._acks: asyncio.TimerHandle | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._address = str((conn.get_extra_info("peername") or ("",))[0])
        conn.set_extra_info(address=self._address)
        self._counted = True
        if not self._connections.enter(self._address):
            conn.abort()
        self._acknowledge(ACK_TIMES)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    def auth_completed(self) -> None:
        self._leave()

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Asked for each key a client offers and again for the one that signs: the last one asked for has signed."""
        if username != "git":
            return False
        fingerprint = fingerprint_of(key.public_data)
        answer = await self._channel.ask(call="identify", fingerprint=fingerprint, address=self._address)
        self._connection.set_extra_info(fingerprint=fingerprint)
        return bool(answer["known"])

    def _acknowledge(self, times: int) -> None:
        """Acknowledge at once what has come.

        Until it has signed in, OpenSSH's client keeps small packets back until those before are acknowledged (Nagle's
        algorithm), which the kernel here delays by 40 ms: twice in a login, of 100 ms that `git ls-remote` took.
        The option does not last (tcp(7)), so it is set again and again.
        """
        sock = self._connection.get_extra_info("socket")
        if sock is not None and times:
            with contextlib.suppress(OSError):  # the client has gone
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            self._acks = asyncio.get_running_loop().call_later(ACK_EVERY, self._acknowledge, times - 1)

    def _leave(self) -> None:
        if self._acks is not None:
            self._acks.cancel()
            self._acks = None
        if self._counted:
            self._counted = False
            self._connections.leave(self._address)


class Sessions:
    """Runs the Git processes of everybody who has signed in."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._running: dict[int, tuple[subprocess.Popen[bytes], asyncssh.SSHServerProcess[bytes]]] = {}

    async def __call__(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """One session, from its command to its exit status."""
        try:
            status = await self._serve(process)
        except (OSError, asyncssh.Error, ConnectionError):
            status = 1
        with contextlib.suppress(OSError, asyncssh.Error):
            process.exit(status)

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> int:
        if process.command is None:
            process.stderr.write(GREETING.encode())
            return 1
        parsed = parse_ssh(process.command)
        if parsed is None:
            process.stderr.write(b"Enopax: only git clone, fetch and push are possible here.\n")
            return 128
        connection = process.get_extra_info("connection")
        answer = await self._channel.ask(
            call="open",
            service=parsed[0],
            path=parsed[1],
            fingerprint=connection.get_extra_info("fingerprint"),
            address=connection.get_extra_info("address"),
            protocol=_protocol(process.env),
        )
        if "refused" in answer:
            process.stderr.write(f"Enopax: {answer['refused']}\n".encode())
            return 128
        return await self._run(process, answer)

    async def _run(self, process: asyncssh.SSHServerProcess[bytes], answer: dict[str, Any]) -> int:
        git = subprocess.Popen(  # noqa: ASYNC220  # vfork and exec: 1 ms; OS pipes: through an asyncio StreamReader large clones break
            answer["argv"],
            env=answer["env"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        session = int(answer["session"])
        self._running[session] = (git, process)
        status = -1
        try:
            # The loop's pipe transports, which `pipes.py` warns of: safe here, as this process has no other thread.
            await process.redirect(stdin=git.stdin, stdout=git.stdout, stderr=git.stderr, bufsize=PACKET)
            closed = asyncio.ensure_future(process.channel.wait_closed())
            ended = asyncio.ensure_future(_end_of(git))
            await asyncio.wait({closed, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                self._kill(git)  # the client has gone
            status = await ended
            if not closed.done():
                with contextlib.suppress(asyncssh.Error, OSError):
                    await process.stdout.drain()
                closed.cancel()
            return status if status >= 0 else 1
        finally:
            self._kill(git)
            del self._running[session]
            self._channel.tell(tell="ended", session=session, ok=status == 0)

    def kill(self, session: int) -> None:
        """The parent says that this one may not go on."""
        if session in self._running:
            git, process = self._running[session]
            self._kill(git)
            connection = process.get_extra_info("connection")
            if connection is not None:
                connection.abort()

    def _kill(self, git: subprocess.Popen[bytes]) -> None:
        if git.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(git.pid, signal.SIGKILL)


def _protocol(environment: Any) -> str | None:
    """The only variable that a client may set, and only where it looks like a protocol version."""
    for name, value in dict(environment or {}).items():
        name, value = (part.decode("ascii", "replace") if isinstance(part, bytes) else part for part in (name, value))
        if name == "GIT_PROTOCOL" and PROTOCOL.fullmatch(value):
            return str(value)
    return None


async def _end_of(git: subprocess.Popen[bytes]) -> int:
    """Exit status of a process, without a thread for each."""
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(git.pid)
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return git.wait()


async def serve(channel_socket: socket.socket, listener: socket.socket, host_key: str) -> None:
    """Serve until the parent is gone."""
    reader, writer = await asyncio.open_connection(sock=channel_socket)
    channel = Channel(reader, writer)
    sessions, connections = Sessions(channel), Connections()
    server = await asyncssh.listen(
        sock=listener,
        server_host_keys=[host_key],
        server_factory=lambda: Login(channel, connections),
        process_factory=sessions,
        encoding=None,
        sftp_factory=None,
        allow_scp=False,
        allow_pty=False,
        line_editor=False,
        agent_forwarding=False,
        x11_forwarding=False,
        compression_algs=None,
        encryption_algs=CIPHERS,
        kex_algs=KEX,
        mac_algs=MACS,
        signature_algs=SIGNATURES,
        login_timeout=LOGIN_SECONDS,
        keepalive_interval=KEEPALIVE_SECONDS,
        window=WINDOW,
        max_pktsize=PACKET,
        server_version="Enopax",
        password_auth=False,
        kbdint_auth=False,
        gss_host=None,
    )
    channel.tell(tell="ready")
    async for message in channel.messages():
        if message.get("tell") == "kill":
            sessions.kill(int(message["session"]))
    server.close()


def main() -> None:
    """Entry point of the child."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # the channel's end says it too; this says it at once
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent decides
    os.nice(5)  # data moves when the API has nothing to do
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("asyncssh").setLevel(logging.ERROR)
    channel, listener, host_key = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    import uvloop

    uvloop.run(serve(socket.socket(fileno=channel), socket.socket(fileno=listener), host_key))


if __name__ == "__main__":
    main()
