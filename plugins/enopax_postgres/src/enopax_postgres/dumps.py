"""Logical dumps: the content of a database as PostgreSQL's own tools write it, for any other PostgreSQL.

Made as the customer, never as the administration: what a customer could not read or do is neither read nor done. The login goes
through the server's Unix socket, because the allowed networks need not hold this machine.
"""

from __future__ import annotations

from collections.abc import Mapping

from psycopg.conninfo import make_conninfo

from enopax_core import Host
from enopax_core.provider import Sink, TemporaryError
from enopax_core.runtime import Completed, Service
from enopax_postgres.instance import Instance
from enopax_postgres.machine import ENVIRONMENT, PROGRAMS

BARE = ("--no-owner", "--no-privileges")
"""Roles of this server mean nothing elsewhere."""


class Dumps:
    """Dumps databases of one installation. Its methods are asynchronous: what is long goes by in pieces."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def write(self, instance: Instance, credentials: Mapping[str, str], format: str, sink: Sink) -> None:
        """Give a dump (`custom` or `plain`) to a sink, piece by piece; it shows one moment. Ended early, pg_dump ends too.

        Raises: TemporaryError with pg_dump's last words.
        """
        ended = await self._run(instance, credentials, "pg_dump", f"--format={format}", *BARE, output=sink)
        if ended.status:
            raise TemporaryError(f"pg_dump failed: {last_words(ended)}")

    async def _run(
        self, instance: Instance, credentials: Mapping[str, str], program: str, *arguments: str, output: Sink | None = None
    ) -> Completed:
        """Run a client of PostgreSQL as the customer. The password goes by the environment, which its own account alone sees."""
        address = make_conninfo(
            host=instance.socket, port=instance.port, dbname=instance.config.database, user=credentials["username"]
        )
        command = [instance.installation.program(program), "--no-password", f"--dbname={address}", *arguments]
        service = Service(id=PROGRAMS, resource=None, command=command, environment=ENVIRONMENT)
        secret = {"PGPASSWORD": credentials["password"]}
        return await self._host.runtime.run(service, command, environment=secret, output=output)


def last_words(ended: Completed) -> str:
    """The end of what a program said on its failure."""
    lines = [line for line in ended.errors.decode("utf-8", "replace").strip().splitlines() if line]
    return " ".join(lines[-3:])
