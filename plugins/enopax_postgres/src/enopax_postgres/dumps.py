"""Logical dumps: the content of a database as PostgreSQL's own tools write it, for any other PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping

from enopax_core.provider import Sink, TemporaryError
from enopax_postgres.clients import Clients, complaint
from enopax_postgres.hba import POOLER
from enopax_postgres.instance import Instance

BARE = ("--no-owner", "--no-privileges")
"""Roles of one server mean nothing on another."""


class Dumps:
    """Dumps databases of one installation."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def write(self, instance: Instance, credentials: Mapping[str, str], format: str, sink: Sink) -> None:
        """Give a dump (`custom` or `plain`) to a sink, piece by piece; it shows one moment. Ended early, pg_dump ends too.

        Raises: TemporaryError with what pg_dump said.
        """
        options = (f"--format={format}", f"--exclude-schema={POOLER}", *BARE)
        ended = await self._clients.connect(instance, credentials, "pg_dump", *options, output=sink)
        if ended.status:
            raise TemporaryError(f"pg_dump failed: {complaint(ended)}")
