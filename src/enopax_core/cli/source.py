"""Files that people write: YAML or JSON, read as JSON would be."""

from __future__ import annotations

import re
import sys
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import click
import yaml

from enopax_core.errors import Malformed

SOURCE = click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True)


class Loader(yaml.SafeLoader):
    """Only what JSON has: `no` and `2030-01-31` are text, `22:22` and `010` too, and no name stands twice in an object."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  # as PyYAML declares it

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"{twice} stands here twice", node.start_mark)
        return super().construct_mapping(node, deep)


for tag, pattern, first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"-?(0|[1-9][0-9]*)", list("-0123456789")),
    ("float", r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", list("-0123456789")),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), first)


def text_of(source: Path) -> str:
    """The content of a file, or of standard input where its name is `-`. Raises OSError, Malformed."""
    if str(source) == "-":
        return sys.stdin.read()
    try:
        return source.expanduser().read_text("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"{source} is not text in UTF-8.") from error


def read(source: Path) -> dict[str, Any]:
    """A YAML or JSON file that holds one object. Raises OSError, Malformed."""
    try:
        found = yaml.load(text_of(source), Loader)  # noqa: S506  # it derives from SafeLoader
    except yaml.YAMLError as error:
        raise Malformed(f"{source} is neither YAML nor JSON: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise Malformed(f"{source} must hold an object.")
    return found
