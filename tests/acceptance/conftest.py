"""Servers as processes of their own, and people who use them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.acceptance.gitkit import Person
from tests.acceptance.serverkit import Server, serving


@pytest.fixture
def server(data_dir: Path) -> Iterator[Server]:
    """A server of this test alone."""
    with serving(data_dir) as running:
        yield running


@pytest.fixture
def person(tmp_path: Path) -> Callable[[str], Person]:
    """People by name, each with a key of their own."""
    return lambda name: Person(tmp_path / "people" / name)
