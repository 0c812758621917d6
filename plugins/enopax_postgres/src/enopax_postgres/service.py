"""What the hooks of one core share."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from enopax_core import Host
from enopax_postgres.installations import Installations
from enopax_postgres.provider import PostgresProvider
from enopax_postgres.settings import PostgresSettings

if TYPE_CHECKING:
    from enopax_postgres.parts import Parts


class PostgresService:
    """Composes the plugin for one core; what does the work only when the first database asks for it."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._settings = host.settings("postgres", PostgresSettings)
        self.installations = Installations(self._settings.programs, os.environ.get("PATH", ""))
        self._parts: Parts | None = None
        self._composing = threading.Lock()
        self.provider = PostgresProvider(host, self.parts)

    def parts(self) -> Parts:
        """What does the work."""
        with self._composing:
            if self._parts is None:
                # psycopg and X.509 cost 0.1 s and 20 MB: a server without databases does without.
                from enopax_postgres.parts import compose

                self._parts = compose(self._host, self._settings, self.installations)
            return self._parts
