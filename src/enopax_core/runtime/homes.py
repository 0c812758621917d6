"""The directories of services, which every runtime on this machine keeps in the same way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from enopax_core.runtime import access
from enopax_core.runtime.service import File
from enopax_core.runtime.user import User, service_user

T = TypeVar("T")


class Homes:
    """`services/ID` below the data directory; each belongs to the user that services run as."""

    def __init__(self, data_dir: Path, user: str) -> None:
        """`user` is the one to drop to where the server runs as root."""
        self.folder = data_dir / "services"
        self._user_name = user
        self._threads = anyio.CapacityLimiter(16)

    @cached_property
    def user(self) -> User:
        """Who services run as. Raises StartupError."""
        return service_user(self._user_name)

    def path(self, id: str) -> Path:
        """Where a service's directory is, or would be."""
        return self.folder / id

    def ids(self) -> set[str]:
        """Services that have a directory."""
        return {path.name for path in self.folder.glob("*") if path.is_dir()}

    async def make(self, id: str) -> Path:
        """The directory, made when it is missing."""
        path = self.path(id)
        await self.in_thread(lambda: access.make_directory(path, self.user))
        return path

    async def write(self, id: str, files: Mapping[str, File]) -> Path:
        """Put files into it. Raises ValueError, PermanentError."""
        path = await self.make(id)
        await self.in_thread(lambda: access.write_files(path, files, self.user))
        return path

    async def remove(self, id: str) -> None:
        """Remove it with all it holds."""
        await self.in_thread(partial(access.remove_directory, self.path(id)))

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Run what blocks in a thread of this runtime's own."""
        return await anyio.to_thread.run_sync(function, limiter=self._threads)
