"""Providers made of scripts: a folder with `provider.json` and one executable for each hook.

May not run anything through a shell, nor hand a script more of the environment than it needs.
"""

from __future__ import annotations

from pathlib import Path

EXAMPLE = Path(__file__).parent / "example"
"""The provider `greeting` in Bash, to copy from."""
