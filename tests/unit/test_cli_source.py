"""Files that people write, read as JSON would be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from enopax_core.cli.source import read
from enopax_core.errors import Malformed


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("2030-01-31", "2030-01-31"),
        ("22:22", "22:22"),
        ("010", "010"),
        ("1e3", 1000.0),
        ("-3", -3),
        ("1.5", 1.5),
        ("true", True),
        ("~", None),
        ("", None),
        (".nan", ".nan"),
        ('"3"', "3"),
        ("[1, {b: c}]", [1, {"b": "c"}]),
    ],
)
def test_a_value_is_what_json_would_have(tmp_path: Path, text: str, value: Any) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(f"a: {text}\n")
    assert read(file) == {"a": value}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2\n", "a stands here twice"),
        ("- 1\n", "must hold an object"),
        ("1: 2\n", "must hold an object"),
        ("a: [", "neither YAML nor JSON"),
        ("a: !!python/object:os.system x\n", "neither YAML nor JSON"),
        ("[1]: 2\n", "neither YAML nor JSON"),
        ("\xff", "not text in UTF-8"),
    ],
)
def test_what_is_no_object_is_refused_with_the_reason(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "file.yaml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(Malformed, match=said):
        read(file)
