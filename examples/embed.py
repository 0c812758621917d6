"""The core in an asynchronous program, without HTTP."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import enopax_example
from enopax_core import INSTALLATION, Core, Settings


async def main(data_dir: Path) -> None:
    """Provision, wait, look, read the credentials, delete."""
    async with Core(Settings(data_dir=data_dir), plugins=[enopax_example]) as core:
        wanted = {"name": "greeting", "organisationName": "Acme", "projectName": "Web", "message": "Hello"}
        accepted = await core.resources.provision(INSTALLATION, "example", wanted)  # durable from here on
        ended = await core.operations.ended(accepted)
        print(ended.state)
        found = await core.resources.find(INSTALLATION, "example", accepted.resource.id)
        print(found.record.status, found.record.access)
        secrets = await core.credentials.read(INSTALLATION, "example", accepted.resource.id)
        print(sorted(secrets))
        await core.operations.ended(await core.resources.delete(INSTALLATION, "example", accepted.resource.id))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder) / "data"))
