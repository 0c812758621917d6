"""What may be imported and called from Python is documented."""

from __future__ import annotations

import inspect

from tests.unit.pages import codes, compare, named, rows, section, text

import enopax_core
import enopax_core.testing
from enopax_core.core.cases import UseCases

PAGE = "reference/python.md"


def test_everything_that_the_core_exports_is_documented() -> None:
    compare(named(section(PAGE, "`enopax_core`")), enopax_core.__all__)


def test_every_use_case_is_documented() -> None:
    documented = {codes(cells[0])[0].partition("(")[0] for cells in rows(section(PAGE, "Use cases"))}
    offered = {
        f"core.{noun}.{name}"
        for noun, kind in inspect.get_annotations(UseCases, eval_str=True).items()
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if "principal" in inspect.signature(method).parameters and not name.startswith("_")
    }
    of_faces = {"core.credentials.may_read"} | {
        f"core.endpoints.{part}" for part in ("accept", "call", "find")
    }  # parts of what a face does
    compare(documented, offered - of_faces | {"core.operations.ended", "core.operations.wait"})


def test_every_kit_and_fake_is_documented() -> None:
    page = text("reference/testing.md")
    assert [name for name in enopax_core.testing.__all__ if name not in page] == []
