"""What containers write, as the engine keeps it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio

from enopax_core.clock import Clock
from enopax_core.files import write_private
from enopax_core.records.log import LogLine
from enopax_core.runtime.container.engine import ContainerEngine
from enopax_core.runtime.homes import Homes
from enopax_core.runtime.loglines import as_lines, parse_line
from enopax_core.runtime.service import Service

SECONDS = 60.0  # for a look
AGAIN_SECONDS = 0.5
KEPT_LINES = 100_000  # across a change of the service


class ContainerLogs:
    """Logs of services. `id` is the service's, `name` its container's."""

    def __init__(self, engine: ContainerEngine, folder: Path, clock: Clock, homes: Homes) -> None:
        self._engine, self._folder, self._clock, self._homes = engine, folder, clock, homes

    def file(self, id: str) -> Path:
        """Where Podman is told to log to; the next container of the service adds to it."""
        return self._folder / f"{id}.log"

    def make_folder(self) -> None:
        """Where they are kept."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def remove(self, id: str) -> None:
        """Leave nothing; repeatable."""
        for path in (self.file(id), self._earlier(id)):
            path.unlink(missing_ok=True)

    async def keep(self, service: Service, name: str) -> None:
        """Its container is about to be removed, and Docker's log with it."""
        if self._engine.name == "docker":
            kept = b"\n".join(await self._written(service.id, name, KEPT_LINES))
            most = service.log.size * service.log.files
            whole = kept if len(kept) <= most else kept[-most:].partition(b"\n")[2]
            await self._homes.in_thread(partial(write_private, self._earlier(service.id), whole))

    async def latest(self, id: str, name: str, lines: int) -> Sequence[LogLine]:
        """Its latest lines, oldest first."""
        written = await self._written(id, name, lines)
        return list(as_lines([line.partition(b" ")[2] for line in written], self._clock()))

    async def follow(self, name: str, lines: int, known: Callable[[], bool]) -> AsyncGenerator[LogLine, None]:
        """Its latest lines, then each as it is written, through restarts, as long as the service is `known`."""
        since: list[str] = []
        while known():
            arguments = ["logs", "--follow", "--timestamps", "--tail", str(lines), *since, name]
            async with contextlib.aclosing(self._engine.lines(*arguments)) as following:
                async for line in following:
                    written, _, text = line.partition(" ")
                    moment, level, message = parse_line(text.encode())
                    yield LogLine(time=moment or parse_line(written.encode())[0] or self._clock(), level=level, message=message)
            since, lines = ["--since", datetime.now(UTC).isoformat()], 10_000
            await anyio.sleep(AGAIN_SECONDS)  # it was restarted, or is about to be

    async def _written(self, id: str, name: str, lines: int) -> Sequence[bytes]:
        """Its latest lines, each behind the moment at which the engine read it."""
        ended = await self._engine.completed("logs", "--timestamps", "--tail", str(lines), name, seconds=SECONDS)
        said = ended.output + ended.errors if ended.status == 0 else b""  # else there is no container yet
        # Standard output and error come apart; the moments put them together.
        written = sorted(said.splitlines(), key=lambda line: line.partition(b" ")[0])
        if len(written) < lines and self._earlier(id).exists():
            earlier = await self._homes.in_thread(self._earlier(id).read_bytes)
            written = [*earlier.splitlines(), *written][-lines:]
        return written

    def _earlier(self, id: str) -> Path:
        """What containers of the service before this one wrote, where the engine does not keep it."""
        return self._folder / f"{id}.earlier"
