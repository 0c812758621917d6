"""Kits that prove an implementation, and fakes for unit tests. Installed by the extra `enopax-core[testing]`.

A kit is a base class of pytest tests: a subclass says how the thing is made, and every test is a promise it must keep.
Nothing here is imported by the core, and nothing here is needed at run time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from enopax_core.testing.dispatcher import DispatcherConformance as DispatcherConformance
    from enopax_core.testing.host import FakeHost as FakeHost
    from enopax_core.testing.ledger import LedgerConformance as LedgerConformance
    from enopax_core.testing.plugin import PluginConformance as PluginConformance
    from enopax_core.testing.provider import ProviderConformance as ProviderConformance
    from enopax_core.testing.runtime import RuntimeConformance as RuntimeConformance
    from enopax_core.testing.scenario import ImpossibleState as ImpossibleState
    from enopax_core.testing.scenario import Result as Result
    from enopax_core.testing.scenario import Scenario as Scenario
    from enopax_core.testing.scenario import Stored as Stored

__all__ = [
    "DispatcherConformance",
    "FakeHost",
    "ImpossibleState",
    "LedgerConformance",
    "PluginConformance",
    "ProviderConformance",
    "Result",
    "RuntimeConformance",
    "Scenario",
    "Stored",
]

_HOMES = {
    "DispatcherConformance": "enopax_core.testing.dispatcher",
    "FakeHost": "enopax_core.testing.host",
    "ImpossibleState": "enopax_core.testing.scenario",
    "LedgerConformance": "enopax_core.testing.ledger",
    "PluginConformance": "enopax_core.testing.plugin",
    "ProviderConformance": "enopax_core.testing.provider",
    "Result": "enopax_core.testing.scenario",
    "RuntimeConformance": "enopax_core.testing.runtime",
    "Scenario": "enopax_core.testing.scenario",
    "Stored": "enopax_core.testing.scenario",
}

# A plain `assert` explains itself only in modules that pytest rewrites: these must be named before they are imported.
pytest.register_assert_rewrite("enopax_core.testing.ledger", "enopax_core.testing.dispatcher", "enopax_core.testing.runtime")


def __getattr__(name: str) -> Any:
    """Import on first use: a unit test with one fake must not pay for the core."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
