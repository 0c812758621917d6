"""Settings of the PostgreSQL plugin: section `[postgres]` and `ENOPAX_POSTGRES_…`."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class PostgresSettings(BaseModel):
    """Where databases listen, where their programs and backups lie."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(default="127.0.0.1", description="Address on which databases listen.")
    public_host: str | None = Field(default=None, description="Host name in addresses, where it is not `host`.")
    programs: str = Field(default="", description="Directories with PostgreSQL's programs, separated by colons; searched first.")
    backup_dir: Path | None = Field(default=None, description="Where backups lie; by default in the data directory.")
    s3_bucket: str | None = Field(default=None, description="Bucket of an S3-compatible store that backups are copied to.")
    s3_prefix: str = Field(default="enopax", description="What the names of all objects begin with.")
    s3_endpoint: str | None = Field(default=None, description="Address of the store, where it is not Amazon's.")
    s3_region: str = Field(default="us-east-1", description="Region of the store.")
    s3_access_key_id: SecretStr | None = Field(default=None, description="Key of the store.")
    s3_secret_access_key: SecretStr | None = Field(default=None, description="Secret that belongs to the key.")
    small_disk_bytes: int = Field(default=10 << 30, ge=64 << 20, description="Disk of the plan postgres-small, in bytes.")
    medium_disk_bytes: int = Field(default=50 << 30, ge=64 << 20, description="Disk of the plan postgres-medium, in bytes.")
    spares: int = Field(
        default=1,
        ge=0,
        le=10,
        description="Servers kept ready for the next databases of the first plan; none while less than 1 GB of memory is free.",
    )
    rotation_grace: int = Field(
        default=300, ge=0, le=86400, description="Seconds for which the old password still opens connections after a rotation."
    )
