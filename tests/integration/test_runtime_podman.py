"""The runtime of containers keeps every promise of a runtime, on Podman; its image is made here, and none is pulled."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tarfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from enopax_core.clock import utc_now
from enopax_core.runtime import Runtime
from enopax_core.runtime.opening import opened
from enopax_core.runtime.settings import RuntimeSettings
from enopax_core.testing import RuntimeConformance

IMAGE = f"localhost/enopax-kit:{secrets.token_hex(6)}"  # of this run alone: others may end before it


@pytest.fixture(scope="module", autouse=True)
def _image() -> Iterator[None]:
    """A root file system of one static program."""
    busybox = shutil.which("busybox")
    if shutil.which("podman") is None or busybox is None:
        pytest.fail("Podman or busybox is missing, which scripts/install --tests brings.", pytrace=False)
    archive = BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for folder in ("bin", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        tar.add(Path(busybox).resolve(), "bin/busybox")
        names = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
        for name in names:
            if name != "busybox":
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
    subprocess.run(["podman", "import", "-q", "-", IMAGE], input=archive.getvalue(), check=True, stdout=subprocess.DEVNULL)
    yield
    subprocess.run(["podman", "rmi", "--force", IMAGE], check=True, stdout=subprocess.DEVNULL)


class TestPodman(RuntimeConformance):
    image = IMAGE

    @pytest.fixture
    def anyio_backend(self) -> tuple[str, dict[str, Any]]:
        """The server's loop, which treats processes differently."""
        return "asyncio", {"use_uvloop": True}

    @asynccontextmanager
    async def open(self, data_dir: Path) -> AsyncIterator[Runtime]:
        async with opened(data_dir, RuntimeSettings(engine="podman", user="nobody"), utc_now) as opening:
            yield opening.runtime()

    def listen(self, port: int) -> str:
        return f"exec httpd -f -p 127.0.0.1:{port}"
