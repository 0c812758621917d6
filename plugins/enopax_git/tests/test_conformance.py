"""The Git provider keeps what everybody relies on in a provider."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from enopax_core.testing import PluginConformance, ProviderConformance
from enopax_git import plugin
from enopax_git.provider import RepositoryConfig


class TestGit(ProviderConformance):
    config = RepositoryConfig(default_branch="main")
    changed = RepositoryConfig(default_branch="trunk", description="Moved")
    settings: ClassVar = {"git": {"ssh_port": 0}}

    def plugin(self, data_dir: Path) -> object:
        return plugin


class TestGitHooks(PluginConformance):
    endpoint = "git-repo"
    config = RepositoryConfig(default_branch="main")
    settings: ClassVar = {"git": {"ssh_port": 0}}

    def plugin(self, data_dir: Path) -> object:
        return plugin
