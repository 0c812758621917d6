"""The embedded ledger keeps what the core relies on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from enopax_core.ledger.interface import Ledger, Tables
from enopax_core.ledger.sqlite import SqliteLedger
from enopax_core.testing import LedgerConformance


class TestSqliteLedger(LedgerConformance):
    def open(self, place: Path, tables: Sequence[Tables] = ()) -> AbstractAsyncContextManager[Ledger]:
        return SqliteLedger(place / "ledger.sqlite3", tables=tables)
