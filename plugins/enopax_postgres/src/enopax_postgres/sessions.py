"""How servers are reached: with a client certificate, and as a customer does it, to see that it works."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from enopax_core.provider import TemporaryError

HOST = "127.0.0.1"
CONNECT_SECONDS = 5


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A role's client certificate, its key, and the authority that the server is checked against: files."""

    certificate: Path
    key: Path
    authority: Path

    def conninfo(self, port: int, user: str, **more: str) -> str:
        """A connection string of libpq for a server on this machine. It holds no secret: the key is a file."""
        return make_conninfo(
            host=HOST,
            port=port,
            user=user,
            sslmode="verify-full",
            sslrootcert=str(self.authority),
            sslcert=str(self.certificate),
            sslkey=str(self.key),
            connect_timeout=CONNECT_SECONDS,
            **more,
        )


def login(*, host: str, port: int, database: str, username: str, password: str, authority: Path) -> None:
    """Connect as a customer would, with `verify-full`, and run a query. Raises TemporaryError naming the address."""
    try:
        with psycopg.connect(
            host=host,
            port=port,
            dbname=database,
            user=username,
            password=password,
            sslmode="verify-full",
            sslrootcert=str(authority),
            connect_timeout=CONNECT_SECONDS,
        ) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        raise TemporaryError(f"A login with the new credentials failed at {host}:{port}.") from error
