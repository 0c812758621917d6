"""Writes folders of providers, as a test needs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MANIFEST = {"name": "thing", "endpoint": "thing", "schema": {"properties": {"size": {"type": "integer", "default": 1}}}}
SCRIPTS = {
    "provision": "cat >/dev/null",
    "status": """echo '{"health": "ready"}'""",
    "delete": "true",
}


def write_folder(path: Path, manifest: Any = None, **scripts: str) -> Path:
    """A folder with what is mandatory, and scripts of Bash by name; one without a first line gets Bash's."""
    path.mkdir(parents=True)
    (path / "provider.json").write_text(json.dumps({**MANIFEST, **(manifest or {})}))
    for name, text in {**SCRIPTS, **scripts}.items():
        file = path / f"{name}.sh"
        file.write_text(text if text.startswith("#!") else f"#!/usr/bin/env bash\nset -eu\n{text}\n")
        file.chmod(0o755)
    return path
