"""One database as it is kept on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from enopax_core.provider import Json
from enopax_postgres.config import DatabaseConfig
from enopax_postgres.installations import Installation
from enopax_postgres.layout import Layout
from enopax_postgres.names import is_spare
from enopax_postgres.plans import Size
from enopax_postgres.sessions import Identity


@dataclass(frozen=True, kw_only=True)
class Instance:
    """Where a server lies, which programs run it, where it listens, how large it may be."""

    id: str
    name: str  # under which it is kept: its id, or that of the spare it was
    service: str  # its id at the runtime
    layout: Layout
    installation: Installation
    port: int
    pooler_port: int | None  # None: there is no PgBouncer on this machine
    replica_port: int | None  # None: the plan has no replica
    size: Size
    config: DatabaseConfig

    @property
    def state(self) -> Json:
        """What the resource must remember: everything else follows from the installation and the configuration."""
        return {"major": self.installation.major, "port": self.port}

    @property
    def resource(self) -> str | None:
        """Id of the resource that it belongs to; None: it is a spare."""
        return None if is_spare(self.id) else self.id

    @property
    def socket(self) -> str:
        """Unix socket for the pooler, in Linux's abstract namespace: the path of a file could be longer than a socket's may."""
        return f"@enopax-{self.name}"

    @property
    def replication(self) -> Identity:
        """With what replicas and backups sign in; readable for the account that the server runs as."""
        conf = self.layout.conf
        return Identity(certificate=conf / "replication.crt", key=conf / "replication.key", authority=conf / "authority.crt")


def real_time() -> datetime:
    """The machine's time. Certificates and recovery targets are compared with other machines and with PostgreSQL's own."""
    return datetime.now(UTC)
