"""The default identity, policy and naming: API keys, roles, organisations and projects.

Built on the governing hooks alone, so that another plugin can replace each of them: registered later, it is asked first.
"""

from importlib.resources import files

from enopax_core.builtin import keys, places, roles, tokens
from enopax_core.ledger.interface import Tables

PLUGINS = {"places": places, "roles": roles, "keys": keys, "tokens": tokens}
"""By the name they are registered under, and can be switched off by."""

TABLES = Tables(section="builtin", folder=files("enopax_core.builtin") / "sql")
"""Organisations, projects, keys and tokens. No hook announces them: they are there whichever of these is switched off."""
