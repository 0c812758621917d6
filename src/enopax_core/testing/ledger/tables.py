"""What plugins add to the database."""

from __future__ import annotations

from pathlib import Path

import pytest

from enopax_core.errors import DatabaseTooNew, PluginRefused
from enopax_core.ledger.interface import Tables
from enopax_core.testing.ledger.base import LedgerTests


class PluginTables(LedgerTests):
    """What plugins stand on."""

    async def test_a_plugins_migrations_run_once_and_its_queries_carry_its_name(self, tmp_path: Path) -> None:
        place, shop = tmp_path / "ledger", plugin_tables(tmp_path / "shop", "shop", 1)
        place.mkdir()
        async with self.open(place, [shop]) as ledger:
            await ledger.write(lambda transaction: transaction.execute("shop.add", id="a", price=1))
        async with self.open(place, [shop]) as ledger:
            rows = await ledger.read(lambda transaction: transaction.execute("shop.everything"))
            assert [dict(row) for row in rows] == [{"id": "a", "price": 1}]

    async def test_a_new_version_of_a_plugin_brings_its_new_migrations_alone(self, tmp_path: Path) -> None:
        place, stall = tmp_path / "ledger", plugin_tables(tmp_path / "stall", "stall", 1)
        place.mkdir()
        async with self.open(place, [plugin_tables(tmp_path / "shop-1", "shop", 1), stall]) as ledger:
            await ledger.write(lambda transaction: transaction.execute("shop.add", id="a", price=1))
        async with self.open(place, [plugin_tables(tmp_path / "shop-2", "shop", 2), stall]) as ledger:
            rows = await ledger.read(lambda transaction: transaction.execute("shop.everything"))
            assert [dict(row) for row in rows] == [{"id": "a", "price": 1, "colour2": "red"}]

    async def test_a_database_of_a_newer_version_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        place, newer = tmp_path / "ledger", plugin_tables(tmp_path / "shop-2", "shop", 2)
        place.mkdir()
        async with self.open(place, [newer]):
            pass
        with pytest.raises(DatabaseTooNew, match="shop"):
            async with self.open(place, [plugin_tables(tmp_path / "shop-1", "shop", 1)]):
                pass
        async with self.open(place, [newer]) as ledger:
            assert await ledger.read(lambda transaction: transaction.execute("shop.everything")) == []

    async def test_migrations_whose_numbers_have_a_gap_are_refused(self, tmp_path: Path) -> None:
        shop = plugin_tables(tmp_path / "shop", "shop", 1)
        (tmp_path / "shop" / "migrations" / "0003_gap.sql").write_text("SELECT 1;")
        with pytest.raises(PluginRefused, match="0003_gap"):
            async with self.open(tmp_path, [shop]):
                pass


def plugin_tables(folder: Path, section: str, migrations: int) -> Tables:
    """Tables of a plugin in that many migrations: the first makes a table, each later one adds a column."""
    (folder / "migrations").mkdir(parents=True)
    (folder / "queries").mkdir()
    script = f"CREATE TABLE {section}_goods (id TEXT PRIMARY KEY, price INTEGER NOT NULL);"
    for number in range(1, migrations + 1):
        (folder / "migrations" / f"{number:04}_step.sql").write_text(script)
        script = f"ALTER TABLE {section}_goods ADD COLUMN colour{number + 1} TEXT NOT NULL DEFAULT 'red';"
    (folder / "queries" / "goods.sql").write_text(
        f"-- name: add\nINSERT INTO {section}_goods (id, price) VALUES (:id, :price);\n\n"
        f"-- name: everything\nSELECT * FROM {section}_goods ORDER BY id;\n"
    )
    return Tables(section=section, folder=folder)
