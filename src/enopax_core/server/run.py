"""Listens, announces, drains and stops: the life of the server process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from enopax_core.errors import StartupError
from enopax_core.server.protocol import Limits, protocol_class

log = logging.getLogger(__name__)
AsgiApp = Callable[..., Any]
DRAIN_SECONDS = 1.0  # it still listens so long after readiness fell, so that load balancers notice
IDLE_SECONDS = 75


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one. Raises StartupError with one sentence."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        raise StartupError(f"Cannot listen on {host} port {port}: {error.strerror or error}.") from error
    listener.setblocking(False)
    return listener


class Runner(uvicorn.Server):
    """uvicorn without its signal handling: ours drains first."""

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
    limits: Limits | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; then readiness falls, requests in flight are answered, all within `grace` seconds.

    `ready` is called once it takes requests, `drain` when a stop begins. The application's lifespan is somebody else's.
    """
    config = uvicorn.Config(
        app,
        http=protocol_class(limits or Limits()),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=max(1, int(grace - DRAIN_SECONDS - 7)),
    )
    server = Runner(config)
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def stop() -> None:
        if stopping.is_set():
            server.force_exit = True
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started and not serving.done():  # noqa: ASYNC110  # uvicorn offers no event
            await asyncio.sleep(0.005)
        if server.started:
            announced = ready()
            if announced is not None:
                await announced
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        drain()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(DRAIN_SECONDS if not server.force_exit else 0)
        server.should_exit = True
        await serving
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
