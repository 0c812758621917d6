"""Settings of the script plugin: section `[script]`, `ENOPAX_SCRIPT_…`."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class ScriptSettings(BaseModel):
    """Where providers lie."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folders: tuple[Path, ...] = Field(
        default=(), description="Folders of providers, beside those in `providers` in the data directory."
    )
