"""Configurations as authors write them in tests, and as clients send them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

Config = BaseModel | Mapping[str, Any]
"""A configuration: as the provider's model, or as on the wire."""


def wire(config: Config) -> dict[str, Any]:
    """A configuration as a client sends it: what was not set is left out."""
    return config.model_dump(mode="json", by_alias=True, exclude_unset=True) if isinstance(config, BaseModel) else dict(config)
