"""The section `[runtime]` of the settings."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

PORTS = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")


class RuntimeSettings(BaseModel):
    """Where services run, and what they may use of the machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: Literal["supervisor", "podman", "docker"] = Field(
        default="supervisor",
        description="What keeps services alive: supervisor (processes), podman or docker (containers).",
        json_schema_extra={"option": "--runtime"},
    )
    user: str = Field(
        default="enopax",
        pattern=r"^[a-z_][a-z0-9_-]{0,31}$",
        description="User that services run as when the server runs as root; made when there is none.",
    )
    ports: str = Field(default="20000-29999", description="Ports that services are given, first and last.")

    @field_validator("ports")
    @classmethod
    def _check_ports(cls, value: str) -> str:
        match = PORTS.fullmatch(value)
        if match is None or not 1 <= int(match[1]) <= int(match[2]) <= 65535:
            raise ValueError("write the first and the last port, such as 20000-29999")
        return value

    @property
    def port_range(self) -> range:
        """The numbers themselves."""
        first, _, last = self.ports.partition("-")
        return range(int(first), int(last) + 1)
