"""The example in Bash keeps what everybody relies on in a provider."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from enopax_core.testing import PluginConformance, ProviderConformance
from enopax_script import EXAMPLE, plugin

SETTINGS = {"script": {"folders": [str(EXAMPLE)]}}


class TestExample(ProviderConformance):
    config: ClassVar = {"message": "hello"}
    changed: ClassVar = {"message": "goodbye"}
    settings: ClassVar = SETTINGS

    def plugin(self, data_dir: Path) -> object:
        return plugin

    def backend(self, data_dir: Path, id: str) -> object:
        return super().backend(data_dir, id), [file.read_text() for file in data_dir.rglob(f"{id}.txt")]


class TestHooks(PluginConformance):
    endpoint = "greeting"
    config: ClassVar = {"message": "hello"}
    settings: ClassVar = SETTINGS

    def plugin(self, data_dir: Path) -> object:
        return plugin
