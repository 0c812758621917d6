"""Listens, serves, drains and stops: the life of the server process."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import uvicorn

from enopax_core.errors import StartupError
from enopax_core.server.protocol import LimitedProtocol, Limits, protocol_class
from enopax_core.server.stop import Stop

Message = MutableMapping[str, Any]
AsgiApp = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]
DRAIN_SECONDS = 1.0  # it still listens so long after readiness fell, so that load balancers notice
CLOSE_SECONDS = 3.0  # of the grace, kept for closing what the application holds
OPEN_FILES = 65_536


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one. Raises StartupError with one sentence."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartupError(f"Cannot listen on {host} port {port}: {error.strerror or error}.") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise StartupError(f"Cannot listen on {host} port {port}: {error.strerror or error}.") from error
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket) -> str:
    """Where a listener is reached from this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared with, not listened on
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def allow_open_files() -> int:
    """Raise the soft limit of open files as far as the hard one allows, for connections and Git's pipes; what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft if soft != resource.RLIM_INFINITY else OPEN_FILES


def forms(network: IPv4Network | IPv6Network) -> tuple[str, ...]:
    """How a network's addresses are seen: those of IPv4 in another form where one socket listens for both kinds."""
    if isinstance(network, IPv6Network):
        return (str(network),)
    return str(network), f"::ffff:{network.network_address}/{96 + network.prefixlen}"


class Runner(uvicorn.Server):
    """uvicorn without its signal handling, which neither drains first nor leaves exit status 0."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]  # a generator of None, as uvicorn's own
        yield


async def run(
    app: AsgiApp,
    listener: socket.socket,
    *,
    ready: Callable[[], Awaitable[None] | None],
    drain: Callable[[], None],
    grace: float,
    stop: Stop | None = None,
    limits: Limits | None = None,
    trusted_proxies: Sequence[str] = (),
) -> None:
    """Serve until `stop` is asked for; then readiness falls, requests in flight are answered, all within `grace` seconds.

    `ready` is called once it takes requests, `drain` when a stop begins. `trusted_proxies` are addresses or networks whose
    X-Forwarded-For and X-Forwarded-Proto say who asks. Without `stop`, SIGTERM and SIGINT ask. The
    application's lifespan is somebody else's, who has opened it before and closes it after.
    """
    if stop is None:
        stop = Stop()
        with stop.on_signals():
            await run(
                app,
                listener,
                ready=ready,
                drain=drain,
                grace=grace,
                stop=stop,
                limits=limits,
                trusted_proxies=trusted_proxies,
            )
        return
    limits = limits or Limits()
    draining = min(DRAIN_SECONDS, grace / 4)
    config = uvicorn.Config(
        _without_noise(app),
        http=protocol_class(limits),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        forwarded_allow_ips=[form for proxy in trusted_proxies for form in forms(ip_network(proxy))],
        timeout_keep_alive=limits.idle_seconds,  # type: ignore[arg-type]  # given to call_later as it is
        timeout_graceful_shutdown=int(grace) + 1,  # `_end` is there before
    )
    server = Runner(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():  # noqa: ASYNC110  # uvicorn offers no event
        await asyncio.sleep(0.002)
    stopped = asyncio.create_task(stop.asked.wait())
    try:
        if server.started and not stop.asked.is_set():
            announced = ready()
            if announced is not None:
                await announced
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        drain()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.hurry.wait(), draining)
    finally:
        stopped.cancel()
        await _end(server, serving, stop, patience=max(grace / 4, grace - draining - CLOSE_SECONDS))


async def _end(server: Runner, serving: asyncio.Task[None], stop: Stop, patience: float) -> None:
    """Close the listener, wait for requests in flight until told to hurry, and give up those that remain."""
    server.should_exit = True
    hurrying = asyncio.create_task(stop.hurry.wait())
    await asyncio.wait({serving, hurrying}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    hurrying.cancel()
    server.force_exit = True  # uvicorn would answer what it cancels with 500 in plain text
    for connection in list(server.server_state.connections):
        assert isinstance(connection, LimitedProtocol)  # noqa: S101  # as configured
        connection.give_up()
    tasks = set(server.server_state.tasks)
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=1)
    await serving


def _without_noise(app: AsgiApp) -> AsgiApp:
    async def quiet(
        scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        with contextlib.suppress(asyncio.CancelledError):  # by `_end` alone, which is no error to log
            await app(scope, receive, send)

    return quiet
