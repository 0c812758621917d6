"""Kits that prove an implementation, and fakes for unit tests. Installed by the extra `enopax-core[testing]`.

A kit is a base class of pytest tests: a subclass says how the thing is made, and every test is a promise it must keep.
Nothing here is imported by the core, and nothing here is needed at run time.
"""

import pytest

# Plain `assert` explains itself only in modules that pytest has rewritten: these must be named before they are imported.
pytest.register_assert_rewrite("enopax_core.testing.ledger", "enopax_core.testing.dispatcher")

from enopax_core.testing.dispatcher import DispatcherConformance  # noqa: E402  # after the line above
from enopax_core.testing.ledger import LedgerConformance  # noqa: E402

__all__ = ["DispatcherConformance", "LedgerConformance"]
