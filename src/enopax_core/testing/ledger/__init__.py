"""What the core relies on in a ledger, as tests that every implementation passes.

Leases are tested with moments relative to `Transaction.now`, because a ledger shared by several machines takes the time
of its database and not the settable clock.
"""

from enopax_core.testing.ledger.lines import Lines
from enopax_core.testing.ledger.log import Log
from enopax_core.testing.ledger.tables import PluginTables
from enopax_core.testing.ledger.transactions import Transactions
from enopax_core.testing.ledger.upkeep import Upkeep

__all__ = ["LedgerConformance"]


class LedgerConformance(Transactions, Lines, Log, Upkeep, PluginTables):
    """Subclass it, say how the ledger is opened (`open`), and run pytest."""
