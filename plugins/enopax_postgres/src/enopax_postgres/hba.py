"""Who may connect from where (pg_hba.conf)."""

from __future__ import annotations

from collections.abc import Sequence

ADMIN = "postgres"
REPLICATION = "enopax_replication"
LOOPBACK = ("127.0.0.1/32", "::1/128")


def lines(database: str, logins: Sequence[str], networks: Sequence[str]) -> str:
    """Administration with a client certificate from this machine, customers with SCRAM over TLS; nobody else."""
    found = [f"hostssl all {ADMIN} {network} cert" for network in LOOPBACK]
    found += [f"hostssl replication {REPLICATION} {network} cert" for network in LOOPBACK]
    found += [f"hostssl {database} {','.join(logins)} {network} scram-sha-256" for network in networks]
    return "\n".join(found) + "\n"
