"""Enopax: a plugin-based provider framework.

Provider authors import `enopax_core.provider`; embedders `Core`, `Settings` and `create_app` from here. What is not
imported here is not promised.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from enopax_core.app import create_app as create_app
    from enopax_core.core.core import Core as Core
    from enopax_core.hooks import Change as Change
    from enopax_core.hooks import Host as Host
    from enopax_core.hooks import Route as Route
    from enopax_core.ledger.interface import Tables as Tables
    from enopax_core.provider import Provider as Provider
    from enopax_core.provider import hookimpl as hookimpl
    from enopax_core.settings import Settings as Settings

__all__ = ["Change", "Core", "Host", "Provider", "Route", "Settings", "Tables", "create_app", "hookimpl"]

_HOMES = {
    "Change": "enopax_core.hooks",
    "Core": "enopax_core.core.core",
    "Host": "enopax_core.hooks",
    "Provider": "enopax_core.provider",
    "Route": "enopax_core.hooks",
    "Settings": "enopax_core.settings",
    "Tables": "enopax_core.ledger.interface",
    "create_app": "enopax_core.app",
    "hookimpl": "enopax_core.provider",
}


def __getattr__(name: str) -> Any:
    """Import on first use: an author who needs `Provider` must not pay 0.4 s for the server."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
