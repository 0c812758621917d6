"""The kits that every provider and plugin passes, on the real runtime."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import pytest

from enopax_core.testing import PluginConformance, ProviderConformance
from enopax_core.testing.bench import Bench
from enopax_postgres import plugin
from enopax_postgres.config import DatabaseConfig


async def clear(bench: Bench) -> None:
    """Remove every service: none outlives its test."""
    async with bench.open() as opened:
        for service in await opened.core.host.runtime.services():
            await opened.core.host.runtime.remove(service.id)


@pytest.mark.slow
@pytest.mark.timeout(400)
class TestPostgres(ProviderConformance):
    config = DatabaseConfig(extensions=("pg_trgm",))
    changed = DatabaseConfig(extensions=("pg_trgm", "hstore"), allowed_networks=("127.0.0.0/8",), maintenance_window="Mon 01:00")
    settings: ClassVar = {"postgres": {"rotation_grace": 0, "spares": 0}}

    def plugin(self, data_dir: Path) -> object:
        return plugin

    @pytest.fixture(autouse=True)
    async def _cleared(self, bench: Bench) -> AsyncIterator[None]:
        """No service outlives its test."""
        yield
        await clear(bench)


class TestPostgresHooks(PluginConformance):
    endpoint = "postgres"
    config = DatabaseConfig()
    settings: ClassVar = {"postgres": {"spares": 0}}

    def plugin(self, data_dir: Path) -> object:
        return plugin

    @pytest.fixture(autouse=True)
    async def _cleared(self, bench: Bench) -> AsyncIterator[None]:
        """No service outlives its test."""
        yield
        await clear(bench)
