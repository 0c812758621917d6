"""The kits that every provider and plugin passes. Each test opens a core with a runtime of its own."""

from __future__ import annotations
