"""A provider's folder: its description, and which executables it holds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from enopax_core.errors import PluginRefused
from enopax_core.provider import Plan

FILE = "provider.json"


class EndpointDescription(BaseModel):
    """A custom endpoint, carried out by the executable of its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    path: str
    permission: str = "read"
    description: str = ""


class Description(BaseModel):
    """What `provider.json` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)

    name: str
    endpoint: str
    description: str = ""
    schema_: Mapping[str, Any] = Field(default_factory=lambda: {"type": "object"}, alias="schema")
    plans: tuple[Plan, ...] = ()
    retention_days: float | None = Field(default=None, gt=0)
    timeout_seconds: float = Field(default=900, gt=0)
    attempts: int = Field(default=5, ge=1)
    custom_endpoints: tuple[EndpointDescription, ...] = ()

    @property
    def retention(self) -> timedelta | None:
        """How long deleted data is kept."""
        return None if self.retention_days is None else timedelta(days=self.retention_days)


class Folder:
    """One folder that was read and found whole."""

    def __init__(self, path: Path) -> None:
        """Raises PluginRefused with the file and what is wrong in it."""
        self.path = path
        try:
            self.description = Description.model_validate_json((path / FILE).read_bytes())
        except OSError as error:
            raise PluginRefused(f"{path / FILE} cannot be read: {error.strerror}.") from error
        except ValidationError as error:
            first = error.errors()[0]
            at = "/".join(map(str, first["loc"]))
            raise PluginRefused(f"{path / FILE}: {at}: {first['msg']}.") from error
        missing = [name for name in self._needed() if self.executable(name) is None]
        if missing:
            raise PluginRefused(f"{path} lacks {', '.join(missing)} (with any extension), or they may not be executed: chmod +x.")

    def executable(self, name: str) -> Path | None:
        """The executable of a name, with any extension or none."""
        for path in sorted(self.path.iterdir()):
            if (path.name == name or path.stem == name) and path.is_file() and os.access(path, os.X_OK):
                return path
        return None

    def _needed(self) -> list[str]:
        kept = ("restore", "purge") if self.description.retention is not None else ()
        return ["provision", "status", "delete", *kept, *(one.name for one in self.description.custom_endpoints)]
