"""Plugins of the tests, as installed distributions of a server that runs on its own."""

from __future__ import annotations

from pathlib import Path


def install_plugin(folder: Path, module: Path) -> dict[str, str]:
    """Put a module and its entry point into a new folder; the environment of a server that finds it there."""
    name = module.stem.removeprefix("enopax_")
    folder.mkdir()
    (folder / module.name).symlink_to(module)
    metadata = folder / f"{module.stem}-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: enopax-{name}\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(f"[enopax]\n{name} = {module.stem}\n")
    return {"PYTHONPATH": str(folder)}
