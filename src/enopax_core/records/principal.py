"""Who asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

PrincipalKind = Literal["user", "key", "agent", "token", "system"]


class Permission(StrEnum):
    """The core's permissions; plugins add `plugin:verb`."""

    READ = "read"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    RESTORE = "restore"
    PURGE = "purge"
    OPERATE = "operate"
    CREDENTIALS = "credentials"
    LOGS = "logs"
    KEYS = "keys"
    AUDIT = "audit"
    ADMIN = "admin"


@dataclass(frozen=True, kw_only=True, slots=True)
class Presented:
    """What a caller shows to say who it is; neutral, because HTTP, SSH and other faces all use it."""

    address: str  # of the client; "" when unknown
    token: str | None = field(default=None, repr=False)  # API key or bearer token
    basic: tuple[str, str] | None = field(default=None, repr=False)  # user name and password
    cookie: str | None = field(default=None, repr=False)
    query_token: str | None = field(default=None, repr=False)  # `?token=`, where a browser cannot send a header
    ssh_key: str | None = None  # fingerprint, `SHA256:…`

    @property
    def empty(self) -> bool:
        """Nothing was presented at all."""
        return not (self.token or self.basic or self.cookie or self.query_token or self.ssh_key)


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """An authenticated caller and how far its credential reaches."""

    id: str
    kind: PrincipalKind
    role: str | None = None
    permissions: frozenset[str] | None = None  # narrower than the role's; None: all of the role's
    organisation: str | None = None  # opaque ids of the scope; None: no limit
    project: str | None = None
    resources: frozenset[str] | None = None
    credential: str = ""  # id of what was presented: revoking it ends open streams
    on_behalf_of: str | None = None
    authenticated_at: datetime | None = None
    expires_at: datetime | None = None
    ambient: bool = False  # came by cookie: unsafe methods need Origin and a CSRF token


INSTALLATION = Principal(id="system", kind="system", role="owner")
"""The installation itself: schedules, reconcile, expiry, and whoever embeds the core. It may do everything."""
