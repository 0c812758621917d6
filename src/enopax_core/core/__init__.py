"""The use cases, one file per noun. Every face (REST, console, command line, OSB, MCP) calls only these."""

from enopax_core.core.core import Core

__all__ = ["Core"]
