"""Pages of the documentation, taken apart for tests: sections, tables and blocks of code."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
FENCE = re.compile(r"^```(?P<kind>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<content>.*?)^```$", re.MULTILINE | re.DOTALL)
CELLS = re.compile(r"(?<!\\)\|")


def text(page: str) -> str:
    """A whole page."""
    return (DOCS / page).read_text("utf-8")


def write_files(page: str, folder: Path) -> None:
    """Write the blocks of a page that have a title, each as a file of that name."""
    for match in FENCE.finditer(text(page)):
        if match["title"]:
            path = folder / match["title"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(match["content"], "utf-8")


def section(page: str, heading: str) -> str:
    """A part of a page, from a heading of the second level to the next."""
    parts = re.split(r"^## (.*)$", text(page), flags=re.MULTILINE)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert heading in found, f"{page} has no section {heading}"
    return found[heading]


def rows(part: str) -> list[list[str]]:
    """Cells of every row of a part's tables, as they are written, without heads."""
    lines = part.splitlines()
    return [
        [cell.strip() for cell in CELLS.split(line)[1:-1]]
        for line, following in zip(lines, [*lines[1:], ""], strict=True)
        if line.startswith("|") and not line.startswith("|--") and not following.startswith("|--")
    ]


def codes(cell: str) -> list[str]:
    """What is marked as code in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def named(part: str, column: int = 0) -> set[str]:
    """What is marked as code in one column of a part's tables."""
    return {code for cells in rows(part) if column < len(cells) for code in codes(cells[column])}


def compare(documented: Iterable[object], offered: Iterable[object]) -> None:
    """Both the same; a difference is named."""
    documented, offered = set(documented), set(offered)
    assert documented == offered, f"not documented: {offered - documented}; documented and gone: {documented - offered}"
