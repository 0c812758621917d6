"""What does the work, composed for one installation. Imported with the first database only."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from enopax_core import Host
from enopax_core.provider import Plan
from enopax_postgres.addresses import Address
from enopax_postgres.administration import Administrator
from enopax_postgres.authority import Authority
from enopax_postgres.backups.keeping import BackupKeeping
from enopax_postgres.changes import Changes
from enopax_postgres.clients import Clients
from enopax_postgres.databases import Databases
from enopax_postgres.dumps import Dumps
from enopax_postgres.imports import Imports
from enopax_postgres.installations import Installations
from enopax_postgres.looks import Looks
from enopax_postgres.machine import Machine
from enopax_postgres.pooler import find
from enopax_postgres.recovery import Recovery
from enopax_postgres.replicas import Replicas
from enopax_postgres.settings import PostgresSettings
from enopax_postgres.slow_queries import SlowQueryLog
from enopax_postgres.spares import Spares
from enopax_postgres.templates import Templates
from enopax_postgres.upgrades import Upgrades

if TYPE_CHECKING:
    from enopax_postgres.backups.offsite import Offsite


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Each does one kind of work."""

    databases: Databases
    backups: BackupKeeping
    recovery: Recovery
    changes: Changes
    replicas: Replicas
    looks: Looks
    dumps: Dumps
    spares: Spares
    imports: Imports
    offsite: Offsite | None  # None: backups are copied nowhere
    upgrades: Upgrades


def compose(host: Host, settings: PostgresSettings, installations: Installations, plans: Sequence[Plan]) -> Parts:
    """Make the directories and put everything together."""
    machine = Machine(host)
    home = host.data_dir / "postgres"
    folder = settings.backup_dir or home / "backups"
    for passable in (home, folder):
        passable.mkdir(parents=True, exist_ok=True)
        passable.chmod(0o711)  # the servers' user passes through to what belongs to it
    machine.directory(home / "templates")
    authority = Authority(home / "authority")
    administrator = Administrator(authority, home / "administration")
    templates = Templates(home / "templates", machine)
    databases = Databases(
        plans=plans,
        backups=folder,
        installations=installations,
        machine=machine,
        authority=authority,
        administrator=administrator,
        templates=templates,
        address=Address(listen=settings.host, public=settings.public_host or settings.host),
        pgbouncer=find(os.environ.get("PATH", "")),
        rotation_grace=timedelta(seconds=settings.rotation_grace),
    )
    clients = Clients(host)
    backups, replicas = BackupKeeping(machine, administrator), Replicas(databases, machine)
    offsite = None
    if settings.s3_bucket is not None:
        from enopax_postgres.backups.offsite import Offsite, open_store  # of the extra `s3`

        offsite = Offsite(open_store(settings), machine)
    return Parts(
        databases=databases,
        backups=backups,
        recovery=Recovery(databases, backups, offsite),
        changes=Changes(databases),
        replicas=replicas,
        looks=Looks(databases, backups, SlowQueryLog(machine), offsite),
        spares=Spares(databases, machine, settings.spares),
        dumps=Dumps(clients),
        imports=Imports(clients, databases, machine, home / "imports"),
        upgrades=Upgrades(databases, backups, replicas, installations, templates, machine),
        offsite=offsite,
    )
