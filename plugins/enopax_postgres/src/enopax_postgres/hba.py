"""Who may connect from where (pg_hba.conf)."""

from __future__ import annotations

from collections.abc import Sequence

ADMIN = "postgres"
REPLICATION = "enopax_replication"
POOLER = "enopax_pooler"
REPLICA = "enopax_replica"
"""Name of the replica's connection, and of the slot that keeps the log for it."""
LOOPBACK = ("127.0.0.1/32", "::1/128")


def lines(database: str, logins: Sequence[str], networks: Sequence[str]) -> str:
    """Administration with a client certificate from this machine, customers with SCRAM over TLS; nobody else.

    The pooler comes through a Unix socket: as itself by the account it runs as, as a customer with what the customer sent.
    """
    names = ",".join(logins)
    found = [f"hostssl all {ADMIN} {network} cert" for network in LOOPBACK]
    found += [f"hostssl replication {REPLICATION} {network} cert" for network in LOOPBACK]
    found += [f"local {database} {POOLER} peer map={POOLER}", f"local {database} {names} scram-sha-256"]
    found += [f"hostssl {database} {names} {network} scram-sha-256" for network in networks]
    return "\n".join(found) + "\n"


def identities(account: str) -> str:
    """Which account of the system may sign in as the pooler's role (pg_ident.conf)."""
    return f'{POOLER} "{account}" {POOLER}\n'
