"""Folders of providers, made as a test needs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plugins.enopax_script.tests.scriptkit import write_folder

from enopax_core.provider import Json, Provider
from enopax_core.testing import Scenario
from enopax_script.folder import open_folder
from enopax_script.provider import provider_of
from enopax_script.runs import Runs


@pytest.fixture
def thing(tmp_path: Path) -> Callable[..., Provider[Json]]:
    """Makes the provider of a folder that is written first."""

    def make(manifest: Any = None, **scripts: str) -> Provider[Json]:
        folder = open_folder(write_folder(tmp_path / "thing", manifest, **scripts))
        return provider_of(folder, data=tmp_path / "data", runs=Runs(tmp_path / "runs"))

    return make


@pytest.fixture
def scenario(thing: Callable[..., Provider[Json]]) -> Callable[..., Scenario]:
    """Makes a scenario with the provider of a folder."""
    return lambda manifest=None, **scripts: Scenario(thing(manifest, **scripts))
