"""Writes what a server reads: its directories, certificate, settings and access rules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from enopax_postgres import cluster, hba, pooler, serverfiles
from enopax_postgres.addresses import Address
from enopax_postgres.authority import Authority, is_due
from enopax_postgres.backups.gap import GAP
from enopax_postgres.instance import Instance
from enopax_postgres.machine import Machine
from enopax_postgres.parameters import parameters
from enopax_postgres.pooler import PgBouncer
from enopax_postgres.roles import LOGINS

SYNCHRONOUS = {"synchronous_standby_names": f"'FIRST 1 ({hba.REPLICA})'"}
"""Commits wait for the replica, from the first one on: while there is none, nothing is acknowledged that it would not have."""


class Files:
    """Brings the files of an instance up to date. Repeatable: what is right already stays."""

    def __init__(self, authority: Authority, address: Address, machine: Machine, pgbouncer: PgBouncer | None) -> None:
        self._authority, self._address, self._machine, self._pgbouncer = authority, address, machine, pgbouncer

    def directories(self, instance: Instance) -> None:
        """Home and backups of an instance."""
        layout = instance.layout
        for folder in (layout.home, layout.conf, layout.backups, layout.archive, layout.bases):
            self._machine.directory(folder)

    def settings(self, instance: Instance, more: Mapping[str, str] | None = None) -> None:
        """postgresql.conf, pg_hba.conf and the archive's script; `more` are settings for a recovery."""
        conf, layout = instance.layout.conf, instance.layout
        values: dict[str, str] = {
            **parameters(instance.size, instance.installation.major),
            **serverfiles.placement(conf, instance.port, self._address.listens, instance.name, instance.socket),
            **(SYNCHRONOUS if instance.config.synchronous else {}),
            **(more or {}),
        }
        access = hba.lines(instance.config.database, LOGINS, instance.config.allowed_networks)
        waiting = instance.size.disk // 10
        archive = layout.archive / cluster.system_identifier(layout.data)
        script = serverfiles.archive_script(archive, layout.home / GAP, waiting)
        write = self._machine.write
        write(conf / "archive-wal", script)
        write(conf / "pg_hba.conf", access.encode())
        write(conf / "pg_ident.conf", hba.identities(self._machine.user).encode())
        write(conf / "postgresql.conf", serverfiles.settings(values))
        if self._pgbouncer is not None and instance.pooler_port is not None:
            pooled = pooler.settings(self._pgbouncer, instance, self._address.listens)
            write(conf / "pgbouncer_hba.conf", pooler.access(instance, LOGINS))
            write(conf / "pgbouncer.ini", pooled)

    def certificates(self, instance: Instance, now: datetime) -> bool:
        """Issue what is missing or ends soon; whether anything is new (the server must read it again)."""
        conf, names = instance.layout.conf, self._address.names
        authority = self._authority.certificate(now)
        new = self._machine.write(conf / "authority.crt", authority)
        certificate = conf / "server.crt"
        if new or not certificate.exists() or is_due(certificate.read_bytes(), names, now):
            issued = self._authority.issue_server(instance.id, names, now)
            self._machine.write(conf / "server.key", issued.key)
            client = self._authority.issue_client(hba.REPLICATION, now)
            self._machine.write(conf / "replication.key", client.key)
            self._machine.write(conf / "replication.crt", client.certificate)
            self._machine.write(certificate, issued.certificate)  # last: where it is there, everything is
            new = True
        return new
