"""Loads archives of pg_dump into databases.

Archives alone: from plain SQL, psql would also take commands of its own, which run programs and read files on this machine
(`\\!`, `\\copy`). pg_restore sends SQL to the server and nothing else, so an archive can do what its customer could do anyhow.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from enopax_core.provider import PermanentError, TemporaryError
from enopax_postgres.clients import Clients, complaint
from enopax_postgres.config import EXTENSIONS
from enopax_postgres.databases import Databases
from enopax_postgres.dumps import BARE
from enopax_postgres.hba import POOLER
from enopax_postgres.instance import Instance
from enopax_postgres.machine import Machine

MAGIC = b"PGDMP"
"""First bytes of an archive in the custom format."""
ENTRY = re.compile(r"^\d+; \d+ \d+ (?P<what>\S.*)$")
EXTENSION = re.compile(r"^EXTENSION - (?P<name>\S+)")
THERE = re.compile(rf"^(SCHEMA - (public|{POOLER})|COMMENT - SCHEMA public|COMMENT - EXTENSION \S+|[A-Z ]+ {POOLER})( |$)")
"""Entries that could only fail: the schemas are there already, and they and extensions belong to the administration."""


class Imports:
    """Loads into databases of one installation. What is uploaded lies in a directory of its own until it is loaded."""

    def __init__(self, clients: Clients, databases: Databases, machine: Machine, folder: Path) -> None:
        """`folder` is emptied: whatever lies in it was left by a kill."""
        self._clients, self._databases, self._machine, self._folder = clients, databases, machine, folder
        for leftover in machine.directory(folder).iterdir():
            leftover.unlink()
        self._busy: set[str] = set()

    async def load(self, instance: Instance, credentials: Mapping[str, str], pieces: AsyncIterator[bytes]) -> None:
        """Load an archive as the customer, in one transaction: all of it, or nothing.

        Raises: PermanentError where it is none, is larger than the plan's disk, needs an extension that is not there, or where
        pg_restore fails, with what that said; TemporaryError when the server cannot be reached.
        """
        async with self._kept(instance, pieces) as archive:
            listed = await self._clients.run(instance, "pg_restore", "--list", str(archive))
            if listed.status:
                raise PermanentError(f"The archive cannot be read: {complaint(listed)}")
            wanted, extensions = contents(listed.output.decode("utf-8", "replace"))
            await anyio.to_thread.run_sync(self._require, instance, extensions)
            chosen = archive.with_suffix(".list")
            await anyio.to_thread.run_sync(self._machine.write, chosen, "\n".join(wanted).encode())
            ended = await self._clients.connect(
                instance,
                credentials,
                "pg_restore",
                "--single-transaction",
                "--exit-on-error",
                *BARE,
                f"--use-list={chosen}",
                str(archive),
            )
        if ended.status:
            raise PermanentError(f"Nothing was imported: {complaint(ended)}")

    def _require(self, instance: Instance, extensions: frozenset[str]) -> None:
        """Raises PermanentError naming extensions that are not there yet."""
        with self._databases.administration(instance, instance.config.database) as connection:
            there = {name for (name,) in connection.execute("SELECT extname FROM pg_extension").fetchall()}
        missing = sorted(extensions - there)
        offered = [name for name in missing if name in EXTENSIONS]
        if offered:
            raise PermanentError(f"The archive needs what `extensions` does not name yet: add {', '.join(offered)} there first.")
        if missing:
            raise PermanentError(f"The archive needs extensions that are not offered: {', '.join(missing)}.")

    @contextlib.asynccontextmanager
    async def _kept(self, instance: Instance, pieces: AsyncIterator[bytes]) -> AsyncIterator[Path]:
        """What is uploaded, as a file of the servers' account for as long as it is needed; one for each database at a time."""
        archive = self._folder / instance.id
        if instance.id in self._busy:
            raise PermanentError("Another import into this database is under way.")
        self._busy.add(instance.id)
        try:
            await self._keep(archive, pieces, instance.size.disk)
            yield archive
        finally:
            self._busy.discard(instance.id)
            with anyio.CancelScope(shield=True):
                for leftover in (archive, archive.with_suffix(".list")):
                    await anyio.to_thread.run_sync(partial(leftover.unlink, missing_ok=True))

    async def _keep(self, archive: Path, pieces: AsyncIterator[bytes], most: int) -> None:
        taken, head = 0, b""
        try:
            await anyio.to_thread.run_sync(self._machine.write, archive, b"")
            async with await anyio.open_file(archive, "wb") as file:
                async for piece in pieces:
                    taken, head = taken + len(piece), (head + piece)[: len(MAGIC)]
                    if not MAGIC.startswith(head):
                        raise PermanentError("This is no archive of pg_dump --format=custom; plain SQL is not taken.")
                    if taken > most:
                        raise PermanentError(f"The archive is larger than the plan's disk ({most} bytes).")
                    await file.write(piece)
        except OSError as error:
            raise TemporaryError("There is no room for the archive on this machine now.") from error


def contents(listing: str) -> tuple[list[str], frozenset[str]]:
    """Lines of pg_restore's listing to load, and the extensions among them."""
    entries = {line: match["what"] for line in listing.splitlines() if (match := ENTRY.match(line))}
    wanted = [line for line, what in entries.items() if not THERE.match(what)]
    return wanted, frozenset(match["name"] for what in entries.values() if (match := EXTENSION.match(what)))
