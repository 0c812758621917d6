"""The example in Bash keeps what everybody relies on in a provider."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from enopax_core.testing import ProviderConformance
from enopax_script import plugin

GREETING = Path(__file__).parents[1] / "examples/greeting"


class TestGreeting(ProviderConformance):
    config: ClassVar = {"message": "hello"}
    changed: ClassVar = {"message": "goodbye"}
    settings: ClassVar = {"script": {"folders": [str(GREETING)]}}

    def plugin(self, data_dir: Path) -> object:
        return plugin
