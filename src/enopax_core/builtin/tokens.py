"""Resource tokens: short-lived, for one resource's custom endpoints and event streams alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from enopax_core.builtin import keys
from enopax_core.builtin.keys import Key
from enopax_core.builtin.roles import permissions_of
from enopax_core.builtin.secrets import hashed, new_secret
from enopax_core.clock import parse, rfc3339
from enopax_core.errors import Unauthenticated
from enopax_core.events.recorder import new_id
from enopax_core.hooks import Host
from enopax_core.ledger.interface import Row, Transaction
from enopax_core.provider.spec import hookimpl
from enopax_core.records.principal import Presented, Principal
from enopax_core.records.resource import ResourceRecord

PREFIX = "enx_tok_"
LIFETIME = timedelta(minutes=15)
PERMISSIONS = frozenset({"read", "operate", "logs"})


@hookimpl
async def enopax_authenticate(host: Host, presented: Presented) -> Principal | None:
    """A token as `?token=` or as a bearer token."""
    secret = presented.query_token or presented.token
    if secret is None or not secret.startswith(PREFIX):
        return None
    now = host.clock()

    def read(transaction: Transaction) -> tuple[Sequence[Row], Key | None]:
        rows = transaction.execute("builtin.find_token", hash=hashed(secret), now=rfc3339(now))
        return rows, keys.get(transaction, rows[0]["credential"]) if rows else None

    rows, maker = await host.ledger.read(read)
    if not rows:
        raise Unauthenticated("This token is not valid, or no longer.")
    permissions = PERMISSIONS
    if maker is not None:  # a token holds no more than the key that made it
        permissions &= permissions_of(maker.role, host.declared_permissions)
        permissions &= maker.permissions if maker.permissions is not None else permissions
    return Principal(
        id=rows[0]["id"],
        kind="token",
        permissions=permissions,
        organisation=rows[0]["organisation"],
        project=rows[0]["project"],
        resources=frozenset({rows[0]["resource"]}),
        credential=rows[0]["credential"],  # it ends with the key that made it
        on_behalf_of=rows[0]["principal"],
        authenticated_at=now,
        expires_at=parse(rows[0]["expires_at"]),
    )


def add(transaction: Transaction, resource: ResourceRecord, maker: Principal) -> tuple[str, datetime]:
    """Make a token for a resource; its secret and when it ends."""
    secret = new_secret(PREFIX)
    expires_at = transaction.now + LIFETIME
    if maker.expires_at is not None:
        expires_at = min(expires_at, maker.expires_at)
    transaction.execute("builtin.drop_old_tokens", now=rfc3339(transaction.now))
    transaction.execute(
        "builtin.add_token",
        hash=hashed(secret),
        id=new_id("tok"),
        resource=resource.id,
        organisation=resource.organisation,
        project=resource.project,
        principal=maker.id,
        credential=maker.credential,
        expires_at=rfc3339(expires_at),
    )
    return secret, expires_at
