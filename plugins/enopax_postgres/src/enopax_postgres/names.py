"""Under which name a database's services, directory and ports are kept: its id, or the name of the spare that it was."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

SPARE = re.compile(r"postgres-spare-[0-9a-f]{8}")
"""Ids of resources have a part more."""


def new_spare() -> str:
    """A name for a server that belongs to nobody yet."""
    return f"postgres-spare-{secrets.token_hex(4)}"


def is_spare(name: str) -> bool:
    """Whether a name is a spare's, given to a database or not."""
    return SPARE.fullmatch(name) is not None


class Names:
    """Keeps, in a file for each, which database was which spare. Works without a server."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made with the first file."""
        self.folder = folder

    def of(self, id: str) -> str:
        """The name of a database."""
        try:
            return (self.folder / id).read_text("ascii")
        except FileNotFoundError:
            return id

    def of_service(self, service: str) -> str:
        """Id of a service for the runtime, by the id that it would have if its database were kept under its own.

        Without a dot it is the plugin's own, as long as it belongs to no resource (`Service.id`).
        """
        id, _, part = service.partition(".")
        name = self.of(id)
        return f"{name}-{part}" if is_spare(name) else service

    def owners(self) -> Mapping[str, str]:
        """Ids of databases by the names of the spares that they were."""
        return {file.read_text("ascii"): file.name for file in self.folder.glob("[!.]*")}

    def give(self, name: str, id: str) -> None:
        """From here on a spare is this database; durable on return."""
        self.folder.mkdir(exist_ok=True, mode=0o700)
        draft = self.folder / f".{id}"
        with draft.open("w", encoding="ascii") as file:
            file.write(name)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.folder / id)
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def forget(self, id: str) -> None:
        """A database is gone; repeatable."""
        (self.folder / id).unlink(missing_ok=True)
