"""API keys: who presents one is its principal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from enopax_core.builtin.secrets import hashed, new_secret
from enopax_core.clock import parse, rfc3339
from enopax_core.errors import Unauthenticated
from enopax_core.hooks import Host
from enopax_core.ledger.interface import Row, Transaction
from enopax_core.ledger.moments import moment, text
from enopax_core.provider.spec import hookimpl
from enopax_core.records.principal import Presented, Principal

PREFIX = "enx_key_"


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """An API key as the ledger keeps it: the hash alone."""

    id: str
    position: int
    preview: str  # its first characters, for people who have several
    name: str
    role: str
    permissions: frozenset[str] | None
    organisation: str | None  # opaque ids; None: the whole installation
    project: str | None
    created_at: datetime
    expires_at: datetime | None


@hookimpl
async def enopax_authenticate(host: Host, presented: Presented) -> Principal | None:
    """A key in `X-API-Key`, as a bearer token or as the password of HTTP Basic."""
    secret = presented.token or (presented.basic[1] if presented.basic else None)
    if secret is None or not secret.startswith(PREFIX):
        return None
    key = await host.ledger.read(partial(find, secret))
    if key is None or (key.expires_at is not None and key.expires_at <= host.clock()):
        raise Unauthenticated("This API key is not valid, or no longer.")
    return Principal(
        id=key.id,
        kind="key",
        role=key.role,
        permissions=key.permissions,
        organisation=key.organisation,
        project=key.project,
        credential=key.id,
        authenticated_at=host.clock(),
        expires_at=key.expires_at,
    )


def find(secret: str, transaction: Transaction) -> Key | None:
    """The key of a secret."""
    rows = transaction.execute("builtin.find_key", hash=hashed(secret))
    return _key(rows[0]) if rows else None


def get(transaction: Transaction, id: str) -> Key | None:
    """A key by id, unless revoked."""
    rows = transaction.execute("builtin.get_key", id=id)
    return _key(rows[0]) if rows else None


def page(transaction: Transaction, *, organisation: str | None, project: str | None, after: int, size: int) -> list[Key]:
    """One page of the keys of an organisation or project; of all, without either."""
    rows = transaction.execute("builtin.list_keys", organisation=organisation, project=project, after=after, size=size)
    return [_key(row) for row in rows]


def add(transaction: Transaction, id: str, secret: str, fields: Mapping[str, Any]) -> Key:
    """Store a new key. `fields`: name, role, permissions, organisation, project, expires_at, created_by."""
    permissions = fields["permissions"]
    transaction.execute(
        "builtin.add_key",
        id=id,
        hash=hashed(secret),
        preview=secret[:12],
        name=fields["name"],
        role=fields["role"],
        permissions=None if permissions is None else json.dumps(sorted(permissions)),
        organisation=fields["organisation"],
        project=fields["project"],
        created_by=fields["created_by"],
        created_at=rfc3339(transaction.now),
        expires_at=text(fields["expires_at"]),
    )
    key = get(transaction, id)
    assert key is not None  # noqa: S101  # stored in this transaction
    return key


def rotate(transaction: Transaction, id: str, secret: str) -> bool:
    """Give a key a new secret; the old one is void. False: there is no such key."""
    return bool(transaction.execute("builtin.rehash_key", id=id, hash=hashed(secret), preview=secret[:12]))


def revoke(transaction: Transaction, id: str) -> bool:
    """Make a key void. False: there is no such key."""
    return bool(transaction.execute("builtin.revoke_key", id=id, now=rfc3339(transaction.now)))


def none_yet(transaction: Transaction) -> bool:
    """Whether this installation never had a key: its first start."""
    return transaction.execute("builtin.count_keys")[0]["number"] == 0  # type: ignore[no-any-return]  # a count


def new_key() -> str:
    """A new secret of a key."""
    return new_secret(PREFIX)


def _key(row: Row) -> Key:
    return Key(
        **{name: row[name] for name in ("id", "position", "preview", "name", "role", "organisation", "project")},
        permissions=None if row["permissions"] is None else frozenset(json.loads(row["permissions"])),
        created_at=parse(row["created_at"]),
        expires_at=moment(row["expires_at"]),
    )
