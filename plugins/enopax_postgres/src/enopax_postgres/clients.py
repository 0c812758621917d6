"""PostgreSQL's own client programs, run as a customer, never as the administration: what a customer could not read or do is
neither read nor done.

The login goes through the server's Unix socket, because the allowed networks need not hold this machine.
"""

from __future__ import annotations

from collections.abc import Mapping

from psycopg.conninfo import make_conninfo

from enopax_core import Host
from enopax_core.provider import Sink
from enopax_core.runtime import Completed, Service
from enopax_postgres.instance import Instance
from enopax_postgres.machine import ENVIRONMENT, PROGRAMS


class Clients:
    """Runs them on one installation, asynchronously: they last, and no thread waits for them."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def run(self, instance: Instance, name: str, *arguments: str) -> Completed:
        """Run a program that needs no server."""
        return await self._run([instance.installation.program(name), *arguments], {}, None)

    async def connect(
        self, instance: Instance, credentials: Mapping[str, str], name: str, *arguments: str, output: Sink | None = None
    ) -> Completed:
        """Run a program on a database. The password goes by the environment, which the process's own account alone sees."""
        address = make_conninfo(
            host=instance.socket, port=instance.port, dbname=instance.config.database, user=credentials["username"]
        )
        command = [instance.installation.program(name), "--no-password", f"--dbname={address}", *arguments]
        return await self._run(command, {"PGPASSWORD": credentials["password"]}, output)

    async def _run(self, command: list[str], secret: Mapping[str, str], output: Sink | None) -> Completed:
        service = Service(id=PROGRAMS, resource=None, command=command, environment=ENVIRONMENT)
        return await self._host.runtime.run(service, command, environment=secret, output=output)


def complaint(ended: Completed) -> str:
    """What a program said on its failure: the first error, and the entry of an archive that it is about; no statements."""
    lines = [line.partition(": ")[2] for line in ended.errors.decode("utf-8", "replace").splitlines()]
    entry = ""
    for line in lines:
        if line.startswith("from TOC entry"):
            entry = f" ({line})"
        if line.startswith("error: "):
            return line.removeprefix("error: ") + entry
    return f"it ended with status {ended.status}."
