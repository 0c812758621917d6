"""A provider whose backend is a service: a lamp that tells who it is. Its program notices when it runs twice."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any

import anyio

from enopax_core import Host, Provider, hookimpl
from enopax_core.provider import (
    Config,
    Download,
    LogLine,
    Observed,
    Operation,
    Outcome,
    PermanentError,
    Resource,
    Sink,
    Upload,
    custom_endpoint,
)
from enopax_core.runtime import File, Port, Probe, Service, State, Stop

LIGHT = b"light" * 100_000
PROGRAM = b"""
import fcntl, http.server, json, os, sys

own = open("running", "w")
try:
    fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    open("twice", "w").close()
    sys.exit(3)
os.set_inheritable(own.fileno(), False)

class Lamp(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"id": os.environ["LAMP"], "pid": os.getpid()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        "It is silent: where supervisord was killed, nobody reads what it writes."

print("2026-01-31 12:00:00 UTC LOG: the lamp is lit", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Lamp).serve_forever()
"""


class LampConfig(Config):
    """What a lamp is like."""

    colour: str = "white"


class Lamps(Provider[LampConfig]):
    """Lights lamps."""

    name, endpoint = "lamps", "lamp"
    attempts = 50  # it is killed very often

    def __init__(self, host: Host) -> None:
        self.host = host

    async def provision(self, operation: Operation, resource: Resource[LampConfig]) -> Outcome:
        """Light it."""
        port = await self.host.ports.allocate(resource.id, "main")
        await self.host.runtime.ensure(self._service(resource, port))
        if resource.config.colour == "endless":
            await anyio.sleep_forever()  # lit, and the ledger does not know it yet
        return Outcome(access=f"http://127.0.0.1:{port}", state={"port": port})

    async def update(self, operation: Operation, resource: Resource[LampConfig]) -> Outcome:
        """Light it in another colour."""
        return await self.provision(operation, resource)

    async def status(self, resource: Resource[LampConfig]) -> Observed:
        """Look."""
        found = await self.host.runtime.status(f"{resource.id}.lamp")
        if found.state is State.MISSING:
            return Observed(health="missing")
        return Observed(health="ready" if found.ready else "degraded", message=found.message)

    async def delete(self, operation: Operation, resource: Resource[LampConfig]) -> None:
        """Put it out and away."""
        await self.host.runtime.remove(f"{resource.id}.lamp")
        await self.host.ports.release(resource.id)

    async def logs(self, resource: Resource[LampConfig]) -> Sequence[LogLine]:
        """What it said."""
        return await self.host.runtime.logs(f"{resource.id}.lamp")

    def follow(self, resource: Resource[LampConfig]) -> AsyncGenerator[LogLine, None]:
        """What it says."""
        return self.host.runtime.follow(f"{resource.id}.lamp", 200)

    async def inventory(self) -> Sequence[str]:
        """All lamps."""
        known = await self.host.runtime.services()
        return [one.resource or one.id.partition(".")[0] for one in known if one.id.endswith(".lamp")]

    @custom_endpoint("GET", "/beam/{length}", permission="read")
    def beam(self, resource: Resource[LampConfig], length: str) -> Download:
        """Send so many pieces of light; a broken lamp fails before the end."""

        async def write(sink: Sink) -> None:
            for _ in range(int(length)):
                await sink(LIGHT)
            if resource.config.colour == "broken":
                raise PermanentError("The lamp is broken.")

        return Download(filename="light", write=write)

    @custom_endpoint("POST", "/beam", permission="operate", body_limit=4 * len(LIGHT))
    async def absorb(self, resource: Resource[LampConfig], upload: Upload) -> dict[str, int]:
        """Take light in, and say how much it was."""
        return {"bytes": sum([len(piece) async for piece in upload.pieces])}

    def _service(self, resource: Resource[LampConfig], port: int) -> Service:
        return Service(
            id=f"{resource.id}.lamp",
            resource=resource.id,
            command=["python3", "lamp.py", str(port)],
            files={"lamp.py": File(content=PROGRAM)},
            environment={"LAMP": resource.id, "COLOUR": resource.config.colour},
            ports={"main": Port(number=port)},
            readiness=Probe(port="main"),
            stop=Stop(seconds=5),
        )


@hookimpl
def enopax_providers(host: Host) -> Iterable[Provider[Any]]:
    """Announce it."""
    return [Lamps(host)]
