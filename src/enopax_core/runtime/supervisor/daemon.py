"""The life of supervisord: started on demand, found again after a crash of the API server, started anew when it died."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from enopax_core.errors import RuntimeUnavailable
from enopax_core.runtime.command import LAUNCH
from enopax_core.runtime.definition import PATH
from enopax_core.runtime.launch import end, is_held, start_of
from enopax_core.runtime.supervisor import config, rpc

log = logging.getLogger(__name__)
MAIN = Path(__file__).with_name("main.py")
RUNS_ALREADY = 3  # status of `main`
START_SECONDS = 30.0  # a busy machine may take long to start Python
AGAIN_SECONDS = 1.0
LOOK_SECONDS = 0.02
STRAY_SECONDS = 10.0  # until a process that nobody wants any more is killed


class Daemon:
    """supervisord in a folder of its own."""

    def __init__(self, folder: Path, group: TaskGroup) -> None:
        """What it does in the background lives in `group`."""
        self.folder = folder
        self._group, self._watched = group, False
        self._socket = folder / "supervisord.sock"
        self._threads = anyio.CapacityLimiter(4)
        self._starting = anyio.Lock()
        self._pid: int | None = None  # of the one that answers
        self._answers = anyio.Event()

    def program(self, id: str) -> Path:
        """The file that makes a service one of supervisord's programs: as long as it is there, the service is to run."""
        return self.folder / "programs" / f"{id}.conf"

    def specification(self, id: str) -> Path:
        """What the process that becomes the service reads; secrets stand in it."""
        return self.folder / "specifications" / f"{id}.json"

    def lock(self, id: str) -> Path:
        """Held as long as anything of the service lives."""
        return self.folder / "locks" / f"{id}.lock"

    def log(self, id: str) -> Path:
        """What the service writes."""
        return self.folder / "logs" / f"{id}.log"

    def programs(self) -> list[str]:
        """Ids of the services that are to run."""
        return sorted(path.stem for path in self.folder.glob("programs/*.conf"))

    def watch(self) -> None:
        """Keep it running as long as there are programs, from now on. In the event loop."""
        if not self._watched:
            self._watched = True
            self._group.start_soon(self._keep_running)

    async def shut_down(self) -> None:
        """Have it end with everything it runs, if it runs."""
        if self._pid is not None:
            with contextlib.suppress(RuntimeUnavailable, rpc.Fault):
                await self._call("shutdown")

    async def call(self, method: str, *arguments: Any) -> Any:
        """Call `supervisor.METHOD`; it is started if it does not run. Raises RuntimeUnavailable, Fault."""
        await self.start()
        try:
            return await self._call(method, *arguments)
        except RuntimeUnavailable:
            if self._pid is not None and start_of(self._pid) is not None:
                raise
        await self.start()  # it has died meanwhile
        return await self._call(method, *arguments)

    async def start(self) -> None:
        """Have it run, with exactly the programs that are configured. Raises RuntimeUnavailable."""
        async with self._starting:
            if self._pid is not None and start_of(self._pid) is not None:
                return
            await self._in_thread(self._prepare)
            try:
                pid = await self._call("getPID")
            except RuntimeUnavailable:
                pid = await self._launch()
            await self._in_thread(self._end_strays)
            await self._align()
            self._pid = pid
            self._answers.set()
            self.watch()

    @property
    def runs(self) -> bool:
        """Whether one lives here, as far as can be seen without asking it."""
        return is_held(self.folder / "supervisord.lock")

    def make_folders(self) -> None:
        """Where it and we keep things; nobody else may look."""
        for path in (self.folder, *(self.folder / name for name in ("programs", "specifications", "locks", "logs"))):
            path.mkdir(exist_ok=True, mode=0o700)

    # ── Starting ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _prepare(self) -> None:
        """Everything it reads, under names that outlive an upgrade of Enopax: it may run for years."""
        self.make_folders()
        _replace(self.folder / "supervisord.conf", lambda new: new.write_text(config.main_config()))
        _replace(self.folder / "launch.py", lambda new: shutil.copyfile(LAUNCH, new))
        _replace(self.folder / "python", lambda new: new.symlink_to(Path(sys.executable).resolve()))

    async def _launch(self) -> int:
        environment = {"PATH": PATH, "LANG": "C.UTF-8"}
        with (self.folder / "supervisord.err").open("wb") as errors:
            ended = await anyio.run_process(
                [sys.executable, "-I", str(MAIN)],
                cwd=self.folder,
                env=environment,
                stdout=errors,
                stderr=errors,
                check=False,
            )
        if ended.returncode not in (0, RUNS_ALREADY):
            log.error("supervisord cannot be started: %s tells why.", self.folder / "supervisord.err")
            raise RuntimeUnavailable("supervisord cannot be started.")
        with anyio.move_on_after(START_SECONDS):
            while self.runs:
                with contextlib.suppress(RuntimeUnavailable):
                    pid: int = await self._call("getPID")
                    log.info("supervisord runs (process %d).", pid)
                    return pid
                await anyio.sleep(LOOK_SECONDS)
            log.error("supervisord has ended: %s tells why.", self.folder / "supervisord.err")
            raise RuntimeUnavailable("supervisord has ended.")
        raise RuntimeUnavailable(f"supervisord did not answer for {START_SECONDS:.0f} s.")

    async def _align(self) -> None:
        """A server that was killed may have written or removed a program without saying so."""
        added, changed, removed = (await self._call("reloadConfig"))[0]
        for id in (*changed, *removed):
            await self.forget(id)
        for id in (*added, *changed):
            await self._call("addProcessGroup", id)

    async def forget(self, id: str) -> None:
        """Have it stop a service and know it no longer. Repeatable. Raises RuntimeUnavailable."""
        while True:
            try:
                await self._stop(id)
                await self._call("removeProcessGroup", id)
            except rpc.Fault as fault:
                if fault.code == rpc.BAD_NAME:
                    return
                if fault.code != rpc.STILL_RUNNING:
                    raise
                await anyio.sleep(LOOK_SECONDS)  # it kills what has not ended in the time it was given
            else:
                return

    async def _stop(self, id: str) -> None:
        """One that has just ended does not run, and is started again in a moment: to be called until it is forgotten."""
        try:
            await self._call("stopProcess", id, False)
        except rpc.Fault as fault:
            if fault.code != rpc.NOT_RUNNING:
                raise

    def _end_strays(self) -> None:
        """What was being stopped or removed when everything was killed."""
        wanted = set(self.programs())
        for lock in self.folder.glob("locks/*.lock"):
            if lock.stem not in wanted:
                self.end(lock.stem)

    def end(self, id: str) -> None:
        """End what lives of a service that is not to run, supervised or not; blocks for as long as it may take."""
        stop = self.stored(id).get("stop", {"signal": "TERM", "seconds": STRAY_SECONDS})
        end(self.lock(id), signal.Signals[f"SIG{stop['signal']}"], stop["seconds"])

    def stored(self, id: str) -> Mapping[str, Any]:
        """A service's specification; empty where there is none."""
        try:
            found: Mapping[str, Any] = json.loads(self.specification(id).read_bytes())
        except FileNotFoundError:
            return {}
        return found

    # ── Watching ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _keep_running(self) -> None:
        while True:
            if self._pid is None and not self.programs():
                await self._answers.wait()
            try:
                await self.start()
                await self._end_of(self._pid)
            except (RuntimeUnavailable, rpc.Fault) as error:
                log.error("Services are not supervised: %s", error)
                await anyio.sleep(AGAIN_SECONDS)
            else:
                log.warning("supervisord has ended (process %s).", self._pid)
            self._pid, self._answers = None, anyio.Event()

    async def _end_of(self, pid: int | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            assert pid is not None  # noqa: S101  # `start` has found it
            descriptor = os.pidfd_open(pid)
            try:
                await anyio.wait_readable(descriptor)
            finally:
                os.close(descriptor)

    # ── Talking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _call(self, method: str, *arguments: Any) -> Any:
        return await self._in_thread(partial(rpc.call, self._socket, f"supervisor.{method}", *arguments))

    async def _in_thread(self, function: Any) -> Any:
        return await anyio.to_thread.run_sync(function, limiter=self._threads)


def _replace(path: Path, write: Any) -> None:
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    write(new)
    new.rename(path)
