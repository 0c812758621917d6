"""The core in a script that has no event loop."""

from __future__ import annotations

import tempfile
from pathlib import Path

import enopax_example
from enopax_core import INSTALLATION, Blocking, Core, Settings


def main(data_dir: Path) -> None:
    """Provision and wait."""
    with Blocking(Core(Settings(data_dir=data_dir), plugins=[enopax_example])) as run:
        wanted = {"name": "greeting", "organisationName": "Acme", "projectName": "Web"}
        accepted = run(run.core.resources.provision, INSTALLATION, "example", wanted)
        print(run(run.core.operations.ended, accepted).state)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder) / "data")
