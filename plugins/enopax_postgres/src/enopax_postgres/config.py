"""What a customer may choose."""

from __future__ import annotations

import ipaddress
import re
from typing import Literal, get_args

from pydantic import AwareDatetime, Field, field_validator

from enopax_core.provider import Config

Extension = Literal[
    "bloom",
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "earthdistance",
    "fuzzystrmatch",
    "hstore",
    "intarray",
    "isn",
    "ltree",
    "pg_trgm",
    "pgcrypto",
    "seg",
    "tablefunc",
    "tsm_system_rows",
    "tsm_system_time",
    "unaccent",
    "uuid-ossp",
    "vector",
]
"""Extensions that stay inside the database: none reads files, opens connections or runs code outside."""
EXTENSIONS: tuple[str, ...] = get_args(Extension)

DATABASE = r"^[a-z][a-z0-9_]{0,62}$"
LOCALE = r"^(C|C\.UTF-8|[a-z]{2,3}(-[A-Z][A-Za-z0-9]+)*)$"
WINDOW = r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([01][0-9]|2[0-3]):[0-5][0-9]$"
RESERVED = frozenset({"postgres", "template0", "template1", "pgbouncer"})
FIXED = ("database", "locale", "recoverFrom")
"""Fields that keep the value they were created with."""


class Origin(Config):
    """Another database of the same project, from whose backups a new one is made."""

    resource: str = Field(description="Its id.")
    time: AwareDatetime | None = Field(default=None, exclude_if=lambda value: value is None, description="Moment to recover.")
    backup: str | None = Field(default=None, exclude_if=lambda value: value is None, description="Backup to recover, by id.")


class DatabaseConfig(Config):
    """One database, with a server of its own."""

    version: Literal["default", "15", "16", "17", "18"] = Field(
        default="default",
        description="Major version, which a change may raise; `default` is the newest that is installed when the database is"
        " created, and then leaves it as it is.",
        json_schema_extra={"x-effect": "restart"},
    )
    database: str = Field(default="app", pattern=DATABASE, description="Name of the database.")
    locale: str = Field(
        default="C.UTF-8",
        pattern=LOCALE,
        description="How text is sorted: C.UTF-8, C, or a language such as de-DE where this installation has ICU.",
    )
    extensions: tuple[Extension, ...] = Field(
        default=(), description="Extensions to create; those left out later stay.", json_schema_extra={"uniqueItems": True}
    )
    allowed_networks: tuple[str, ...] = Field(
        default=("0.0.0.0/0", "::/0"),
        min_length=1,
        max_length=50,
        description="Networks from which clients may connect, as address/prefix.",
    )
    maintenance_window: str = Field(
        default="Sun 03:00",
        pattern=WINDOW,
        description="Beginning of the weekly hour, UTC, in which restarts happen by themselves.",
    )

    synchronous: bool = Field(
        default=False, description="Acknowledge a commit only when the replica has it too; in plans with a replica."
    )
    recover_from: Origin | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="Make it from the backups of another database of the project; without time and backup, as that is now.",
    )

    @field_validator("database")
    @classmethod
    def _possible(cls, name: str) -> str:
        if name in RESERVED or name.startswith("pg_"):
            raise ValueError("this name belongs to PostgreSQL")
        return name

    @field_validator("allowed_networks")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        """The normal form: no host bits (a typing error more often than not), each network once."""
        for network in networks:
            if not re.fullmatch(r"[0-9a-fA-F.:]+/[0-9]+", network):
                raise ValueError(f"{network} is no network such as 192.0.2.0/24")
            ipaddress.ip_network(network)
        return tuple(dict.fromkeys(networks))
