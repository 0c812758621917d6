"""A fresh virtual environment as an author has it, without asking an index for anything."""

from __future__ import annotations

import os
import site
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


def without_index(folder: Path) -> Mapping[str, str]:
    """Variables under which pip and Python find what the core depends on, and nothing of Enopax, in a folder of links.

    The environment `folder/.venv` comes first on the path, once somebody has made it.
    """
    links = folder.with_name(f"{folder.name}-dependencies")
    links.mkdir()
    for packages in site.getsitepackages():
        for entry in Path(packages).iterdir():
            if not entry.name.lower().startswith(("enopax", "_editable", "__editable")) and entry.suffix != ".pth":
                (links / entry.name).symlink_to(entry)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ENOPAX_", "PYTHON", "VIRTUAL_ENV"))}
    return {
        **kept,
        "PATH": f"{folder / '.venv' / 'bin'}:{Path(sys.executable).resolve().parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(links),
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # 0 means that there is none: https://github.com/pypa/pip/issues/5735
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def install_core(folder: Path, environment: Mapping[str, str]) -> None:
    """What `pip install enopax-core` will do once it is published, from this checkout."""
    command = [str(folder / ".venv" / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", "--editable", str(ROOT)]
    subprocess.run(command, env=environment, check=True, timeout=120)
