"""Where everything of an installation and of one database lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Paths of one database. What the server needs lies below `home`, which belongs to the account it runs as."""

    home: Path
    backups: Path

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory. It holds no settings of ours: copies of it (replicas, backups) must not carry them."""
        return self.home / "data"

    @property
    def conf(self) -> Path:
        """Configuration, certificate and scripts."""
        return self.home / "conf"

    @property
    def archive(self) -> Path:
        """Archived write-ahead log, one directory for each system identifier."""
        return self.backups / "wal"

    @property
    def bases(self) -> Path:
        """Base backups, one directory each."""
        return self.backups / "base"

    @property
    def offsite(self) -> Path:
        """Names where in a store its backups are copied to."""
        return self.backups / "offsite"

    @property
    def origin(self) -> Path:
        """Names where the installation has copied them to that this one was restored from, until that was looked at."""
        return self.backups / "offsite-origin"

    @property
    def pointer(self) -> Path:
        """Names the server that is the primary, once that is not the first one."""
        return self.backups / "primary"


def primary(backups: Path) -> str | None:
    """What the id of the primary's service ends with, by a database's backups; None: it is the first server still."""
    try:
        return Layout(home=backups, backups=backups).pointer.read_text("ascii").split()[0]
    except FileNotFoundError:
        return None
