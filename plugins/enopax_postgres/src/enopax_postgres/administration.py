"""The administration of servers: a superuser who signs in with a client certificate. Nobody has a password of that role."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg.rows import TupleRow

from enopax_core.provider import TemporaryError
from enopax_postgres.authority import RENEW_BEFORE, Authority, expires
from enopax_postgres.hba import ADMIN
from enopax_postgres.instance import real_time
from enopax_postgres.sessions import Identity

OPTIONS = "-c search_path=pg_catalog -c statement_timeout=0 -c default_transaction_read_only=off -c synchronous_commit=local"
"""Nothing of the customer's is found by an unqualified name, no limit of theirs applies, and nothing waits for a replica."""


class Administrator:
    """Keeps the certificate in a directory that this process's account alone can read; issues it anew in time."""

    def __init__(self, authority: Authority, folder: Path) -> None:
        self._authority, self._folder = authority, folder
        self._valid_until: datetime | None = None
        self._issuing = threading.Lock()

    @contextlib.contextmanager
    def connect(self, port: int, database: str = ADMIN) -> Iterator[psycopg.Connection[TupleRow]]:
        """A connection in autocommit to a server on this machine.

        Raises: TemporaryError when it cannot be reached, or ends while it is used.
        """
        conninfo = self._identity().conninfo(port, ADMIN, dbname=database, application_name="enopax", options=OPTIONS)
        try:
            connection = psycopg.connect(conninfo, autocommit=True)
        except psycopg.OperationalError as error:
            raise TemporaryError("The database server does not answer.") from error
        with contextlib.closing(connection):
            try:
                yield connection
            except psycopg.OperationalError as error:
                if connection.closed:
                    raise TemporaryError("The database server has ended the connection.") from error
                raise

    def _identity(self) -> Identity:
        folder, now = self._folder, real_time()
        identity = Identity(certificate=folder / "admin.crt", key=folder / "admin.key", authority=folder / "authority.crt")
        with self._issuing:
            if self._valid_until is None or self._valid_until - now < RENEW_BEFORE:
                issued = self._authority.issue_client(ADMIN, now)
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                _write(identity.authority, self._authority.certificate(now))
                _write(identity.key, issued.key)
                _write(identity.certificate, issued.certificate)
                self._valid_until = expires(issued.certificate)
        return identity


def _write(file: Path, content: bytes) -> None:
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(content)
    draft.replace(file)
