"""Enopax: a plugin-based provider framework.

Provider authors import `enopax_core.provider`; embedders `Core`, `Settings` and `create_app` from here. What is not
imported here is not promised.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from enopax_core.app import create_app as create_app
    from enopax_core.blocking import Blocking as Blocking
    from enopax_core.core.core import Core as Core
    from enopax_core.hooks import Change as Change
    from enopax_core.hooks import Host as Host
    from enopax_core.hooks import Route as Route
    from enopax_core.ledger.interface import Tables as Tables
    from enopax_core.ledger.interface import Transaction as Transaction
    from enopax_core.provider import Provider as Provider
    from enopax_core.provider import hookimpl as hookimpl
    from enopax_core.records.event import Event as Event
    from enopax_core.records.finding import Finding as Finding
    from enopax_core.records.place import Place as Place
    from enopax_core.records.place import Target as Target
    from enopax_core.records.principal import INSTALLATION as INSTALLATION
    from enopax_core.records.principal import Presented as Presented
    from enopax_core.records.principal import Principal as Principal
    from enopax_core.records.resource import ResourceRecord as ResourceRecord
    from enopax_core.records.resource import Status as Status
    from enopax_core.settings import Settings as Settings

__all__ = [
    "INSTALLATION",
    "Blocking",
    "Change",
    "Core",
    "Event",
    "Finding",
    "Host",
    "Place",
    "Presented",
    "Principal",
    "Provider",
    "ResourceRecord",
    "Route",
    "Settings",
    "Status",
    "Tables",
    "Target",
    "Transaction",
    "create_app",
    "hookimpl",
]

_HOMES = {
    "INSTALLATION": "enopax_core.records.principal",
    "Blocking": "enopax_core.blocking",
    "Change": "enopax_core.hooks",
    "Core": "enopax_core.core.core",
    "Event": "enopax_core.records.event",
    "Finding": "enopax_core.records.finding",
    "Host": "enopax_core.hooks",
    "Place": "enopax_core.records.place",
    "Presented": "enopax_core.records.principal",
    "Principal": "enopax_core.records.principal",
    "Provider": "enopax_core.provider",
    "ResourceRecord": "enopax_core.records.resource",
    "Route": "enopax_core.hooks",
    "Settings": "enopax_core.settings",
    "Status": "enopax_core.records.resource",
    "Tables": "enopax_core.ledger.interface",
    "Target": "enopax_core.records.place",
    "Transaction": "enopax_core.ledger.interface",
    "create_app": "enopax_core.app",
    "hookimpl": "enopax_core.provider",
}


def __getattr__(name: str) -> Any:
    """Import on first use: an author who needs `Provider` must not pay 0.4 s for the server."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
