"""Named SQL blocks: `-- name: finish_operation`, comments that say why, one statement."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from enopax_core.errors import PluginRefused
from enopax_core.ledger.interface import Tables

NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
MIGRATION = re.compile(r"^(\d{4})_\w+\.sql$")

CORE = Tables(section="core", folder=files("enopax_core.ledger") / "sql")
"""The core's own tables."""


def load_queries(tables: Tables) -> Mapping[str, str]:
    """All queries of a section by the name they are called with; the core's have no prefix."""
    prefix = "" if tables.section == CORE.section else f"{tables.section}."
    found: dict[str, str] = {}
    for file in _sql(tables.folder / "queries"):
        parts = NAME.split(file.read_text("utf-8"))
        for name, statement in zip(parts[1::2], parts[2::2], strict=True):
            if prefix + name in found:
                raise PluginRefused(f"The query {prefix + name} is written twice ({file.name}).")
            found[prefix + name] = statement.strip()
    return found


def load_migrations(tables: Tables) -> list[tuple[int, str, str]]:
    """Number, file name and script of each migration, in order. Raises PluginRefused where a number is missing."""
    found: list[tuple[int, str, str]] = []
    for file in _sql(tables.folder / "migrations"):
        match = MIGRATION.match(file.name)
        if match is None or int(match[1]) != len(found) + 1:
            raise PluginRefused(f"Migrations of {tables.section} must be numbered 0001, 0002 …: {file.name} is out of line.")
        found.append((int(match[1]), file.name, file.read_text("utf-8")))
    return found


def _sql(folder: Traversable) -> Iterator[Traversable]:
    if folder.is_dir():
        yield from sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
