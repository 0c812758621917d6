"""Calls of the engine's command line: `podman` and `docker` agree on what is needed here."""

from __future__ import annotations

import json
import logging
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import anyio
from anyio.streams.text import TextReceiveStream

from enopax_core.errors import RuntimeUnavailable
from enopax_core.runtime.command import begin, converse
from enopax_core.runtime.interface import Completed, Sink

log = logging.getLogger(__name__)
NO_CONTAINER = "no such container"  # how both say so, Docker with a capital
SECONDS = 60.0  # for calls that do not wait for a container
ENGINE_FAILED, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127  # podman-run(1): the engine's own fault; of the program
RUNC = (Path("/usr/sbin/runc"), Path("/usr/bin/runc"))
ALONE = (sys.executable, "-I", "-S", "-c", "import os, sys; os.closerange(3, 1 << 20); os.execv(sys.argv[1], sys.argv[1:])")
"""uvloop (seen with 0.23) leaves copies of what a process writes to in it. The monitor of a container would hold them for as long
as that runs, and the end of the output would never come. Costs 15 ms."""
INITS = ("/usr/libexec/podman/catatonit", "/usr/bin/catatonit")


class Refused(Exception):
    """The engine did not do what it was told."""


class Missing(Refused):
    """There is no such container."""


class ContainerEngine:
    """`podman` or `docker`."""

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def base(self) -> Sequence[str]:
        """How every command begins. Raises RuntimeUnavailable where the engine is not installed."""
        program = shutil.which(self.name)
        if program is None:
            raise RuntimeUnavailable(f"{self.name} is not installed on this machine.")
        # crun, Podman's default, refuses machines where cgroup versions 1 and 2 are mounted side by side.
        hybrid = self.name == "podman" and Path("/sys/fs/cgroup/unified").is_dir() and any(map(Path.exists, RUNC))
        return [program, "--runtime", "runc"] if hybrid else [program]

    @cached_property
    def ulimits(self) -> Mapping[str, int]:
        """Podman asks for more open files and processes than a machine may allow to raise to; what we have is allowed."""
        if self.name != "podman":
            return {}
        most_processes = int(Path("/proc/sys/kernel/pid_max").read_text())  # to which Podman lowers its own limit
        limits = (("nofile", resource.RLIMIT_NOFILE, 1 << 20), ("nproc", resource.RLIMIT_NPROC, most_processes))
        hard = {name: resource.getrlimit(kind)[1] for name, kind, _ in limits}
        return {name: most if hard[name] == resource.RLIM_INFINITY else min(hard[name], most) for name, _, most in limits}

    @cached_property
    def has_init(self) -> bool:
        """Whether containers can begin with an init."""
        return self.name != "podman" or any(Path(init).exists() for init in INITS)

    async def call(self, *arguments: str, environment: Mapping[str, str] | None = None, seconds: float = SECONDS) -> str:
        """Run a command of the engine; what it prints. Raises Refused, Missing, RuntimeUnavailable."""
        ended = await self.completed(*arguments, environment=environment, seconds=seconds)
        if ended.status != 0:
            said = ended.errors.decode(errors="replace").strip()
            raise (Missing if NO_CONTAINER in said.lower() else Refused)(said)
        return ended.output.decode(errors="replace")

    async def completed(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        input: bytes = b"",
        output: Sink | None = None,
        seconds: float | None = None,
    ) -> Completed:
        """Run a command of the engine to its end.

        Raises: RuntimeUnavailable when it takes too long; what `output` raises.
        """
        command = [*ALONE, *self.base, *arguments]
        try:
            with anyio.fail_after(seconds):
                running = await begin(command, env={**os.environ, **(environment or {})})
                return await converse(running, input, output)
        except TimeoutError as error:
            raise RuntimeUnavailable(f"{self.name} did not answer for {seconds} s.") from error

    async def inspect(self, names: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """What the engine knows of containers, by name; those that are not there are left out. Raises RuntimeUnavailable."""
        if not names:
            return {}
        ended = await self.completed("container", "inspect", *names, seconds=SECONDS)
        said = ended.errors.decode(errors="replace").strip()
        if ended.status != 0 and NO_CONTAINER not in said.lower():
            raise self.unavailable("does not show its containers", said)
        found = json.loads(ended.output or b"[]")
        return {one["Name"].lstrip("/"): one for one in found or ()}

    async def discard(self, name: str) -> None:
        """End a container at once and remove it; repeatable. Raises RuntimeUnavailable."""
        now = ["--time", "0"] if self.name == "podman" else []
        try:
            await self.call("rm", "--force", *now, name)
        except Missing:
            return
        except Refused as error:
            raise self.unavailable(f"does not remove {name}", error) from error

    def unavailable(self, what: str, said: object) -> RuntimeUnavailable:
        """What to raise; the engine's own words, which may hold paths, stand in the log alone."""
        log.error("%s %s: %s", self.name, what, said)
        return RuntimeUnavailable(f"{self.name} {what}.")

    async def names(self, label: str) -> Sequence[str]:
        """Containers with a label, running or not. Raises RuntimeUnavailable."""
        try:
            return (await self.call("ps", "--all", "--filter", f"label={label}", "--format", "{{.Names}}")).split()
        except Refused as error:
            raise self.unavailable("does not list its containers", error) from error

    async def lines(self, *arguments: str) -> AsyncGenerator[str, None]:
        """What a command prints, line by line; it is ended with the generator."""
        async with await anyio.open_process([*ALONE, *self.base, *arguments], stderr=subprocess.STDOUT) as process:
            assert process.stdout is not None  # noqa: S101  # a pipe was asked for
            rest = ""
            try:
                async for part in TextReceiveStream(process.stdout, errors="replace"):
                    *whole, rest = (rest + part).split("\n")
                    for line in whole:
                        yield line
            finally:
                if process.returncode is None:
                    process.kill()

    async def limits(self) -> frozenset[str]:
        """Which of `cpu` and `memory` the engine can limit here."""
        try:
            found = json.loads(await self.call("info", "--format", "json" if self.name == "podman" else "{{json .}}"))
        except Refused as error:
            raise self.unavailable("does not say what it can do", error) from error
        if self.name == "podman":
            return frozenset({"cpu", "memory"}.intersection(found["host"].get("cgroupControllers") or ()))
        return frozenset(name for name, key in (("cpu", "CpuCfsQuota"), ("memory", "MemoryLimit")) if found.get(key))
