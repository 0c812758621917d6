"""Settings of the Git plugin: section `[git]`, `ENOPAX_GIT_…`, and options of `enopax serve`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class GitSettings(BaseModel):
    """Where the SSH server listens and what a repository may hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ssh_host: str = Field(
        default="127.0.0.1", description="Address of the SSH server.", json_schema_extra={"option": "--ssh-host"}
    )
    ssh_port: int = Field(
        default=2222,
        ge=0,
        le=65535,
        description="Port of the SSH server; 0 picks a free one.",
        json_schema_extra={"option": "--ssh-port"},
    )
    public_host: str | None = Field(default=None, description="Host name in SSH addresses, where it is not ssh_host.")
    free_bytes: int = Field(default=5 << 30, ge=1 << 16, description="Hard size limit of the plan git-free, in bytes.")
