"""What is built in keeps what the core relies on in any plugin that could stand in for it."""

from __future__ import annotations

from pathlib import Path

from enopax_core import builtin
from enopax_core.testing import PluginConformance


class TestPlaces(PluginConformance):
    replaces = ("places",)

    def plugin(self, data_dir: Path) -> object:
        return builtin.places


class TestRoles(PluginConformance):
    replaces = ("roles",)

    def plugin(self, data_dir: Path) -> object:
        return builtin.roles


class TestKeys(PluginConformance):
    replaces = ("keys",)

    def plugin(self, data_dir: Path) -> object:
        return builtin.keys


class TestTokens(PluginConformance):
    replaces = ("tokens",)

    def plugin(self, data_dir: Path) -> object:
        return builtin.tokens
