"""Writes the folder of a new plugin from the templates beside this file."""

from __future__ import annotations

from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template

from enopax_core.errors import StartupError
from enopax_core.registry import ENDPOINT, LONGEST_ENDPOINT, RESERVED


def scaffold(name: str, parent: Path) -> Path:
    """Write a plugin `enopax_<name>` below a folder; where it is. Raises StartupError; then nothing was written."""
    if not ENDPOINT.match(name) or len(name) > LONGEST_ENDPOINT or name in RESERVED:
        raise StartupError(
            f"A plugin's name is its endpoint: lower-case words joined by hyphens, at most {LONGEST_ENDPOINT} characters, such as"
            f" box or object-store; {name!r} is not one, or belongs to the core."
        )
    package = "enopax_" + name.replace("-", "_")
    folder = parent / package
    if folder.exists():
        raise StartupError(f"{folder} is there already: take another name, or move it away.")
    words = {
        "name": name,
        "package": package,
        "distribution": f"enopax-{name}",
        "title": name.replace("-", " ").capitalize(),
        "class_name": "".join(word.capitalize() for word in name.split("-")),
        "version": ".".join(version("enopax-core").split(".")[:2]),
    }
    written = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"src/{package}/__init__.py": "provider.py",
        "tests/test_conformance.py": "test_conformance.py",
    }
    templates = files("enopax_core.cli") / "template"
    for target, source in written.items():
        content = Template((templates / f"{source}.template").read_text("utf-8")).substitute(words)
        file = folder / target
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, "utf-8")
    (folder / "src" / package / "py.typed").touch()
    return folder
