"""Which runtime a core has, and what it costs one that needs none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from enopax_core import Core, Settings
from enopax_core.errors import StartupError
from enopax_core.runtime import Service


def settings(data_dir: Path, **runtime: str) -> Settings:
    return Settings(data_dir=data_dir, sections={"runtime": {"user": "nobody", **runtime}})


@pytest.mark.anyio
async def test_the_engine_cannot_be_changed_while_there_are_services(data_dir: Path) -> None:
    async with Core(settings(data_dir), plugins=()) as core:
        await core.host.runtime.ensure(Service(id="a.b", resource="a", command=["sleep", "1000"]))
        await core.host.runtime.stop("a.b")
    with pytest.raises(StartupError) as caught:
        async with Core(settings(data_dir, engine="podman"), plugins=()):
            pass
    assert "[runtime] engine" in caught.value.message
    async with Core(settings(data_dir), plugins=()) as core:
        await core.host.runtime.remove("a.b")
    async with Core(settings(data_dir, engine="podman"), plugins=()) as core:
        assert core.host.runtime.name == "podman"


def test_a_core_without_services_imports_nothing_of_a_runtime(data_dir: Path) -> None:
    script = f"""
import anyio, sys
from pathlib import Path
from enopax_core import Core, Settings

async def main():
    async with Core(Settings(data_dir=Path({str(data_dir)!r})), plugins=()):
        pass

anyio.run(main)
print(*sorted(name for name in sys.modules if name == "xmlrpc.client" or ".runtime.supervisor" in name or ".container" in name))
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []
