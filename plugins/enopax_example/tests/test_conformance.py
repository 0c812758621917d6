"""The example keeps what everybody relies on in a provider."""

from __future__ import annotations

from pathlib import Path

import enopax_example
from enopax_core.testing import ProviderConformance
from enopax_example import ExampleConfig


class TestExample(ProviderConformance):
    config = ExampleConfig(message="hello")
    changed = ExampleConfig(message="goodbye")

    def plugin(self, data_dir: Path) -> object:
        return enopax_example
