"""PgBouncer in front of a server: its files, and what it needs in the database. Where there is no PgBouncer, there is no pooler.

It knows no password: a client's login is checked against the SCRAM verifier that it looks up in the server, with which it
then logs in there as that client. Each address in front has the customer's networks as its own access rules.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, LiteralString

from psycopg import Connection, sql
from psycopg.sql import SQL, Identifier

from enopax_postgres.hba import POOLER
from enopax_postgres.instance import Instance

SEARCHED = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where Debian puts it, which is not on everybody's PATH."""
PREPARED_SINCE = (1, 21)
CLIENTS_PER_CONNECTION = 10

LOOKUP: LiteralString = """
CREATE OR REPLACE FUNCTION {schema}.lookup(IN login text, OUT usename text, OUT passwd text)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS {body}
"""
BODY: LiteralString = """
SELECT rolname::text, rolpassword FROM pg_authid
 WHERE rolname = login AND rolname IN ({logins}) AND coalesce(rolvaliduntil, 'infinity') > now()
"""
PRESENT: LiteralString = """
SELECT 1 FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE n.nspname = %s AND p.proname = 'lookup' AND p.prosrc = %s
"""


@dataclass(frozen=True, kw_only=True)
class PgBouncer:
    """The program on this machine."""

    program: Path
    version: tuple[int, int]

    @property
    def end(self) -> Literal["TERM", "QUIT"]:
        """Signal that ends it at once; since 1.23 it waits for clients at TERM."""
        return "QUIT" if self.version >= (1, 23) else "TERM"

    @property
    def prepares(self) -> bool:
        """Whether prepared statements survive the change of connection between transactions."""
        return self.version >= PREPARED_SINCE


def find(path: str) -> PgBouncer | None:
    """Look for it on PATH and where Debian puts it."""
    program = shutil.which("pgbouncer", path=f"{path}:{SEARCHED}")
    if program is None:
        return None
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"PgBouncer (\d+)\.(\d+)", said)
    return None if version is None else PgBouncer(program=Path(program), version=(int(version[1]), int(version[2])))


def settings(found: PgBouncer, instance: Instance, listen: Sequence[str]) -> bytes:
    """pgbouncer.ini. It holds no secret."""
    conf, connections = instance.layout.conf, instance.size.connections
    values: Mapping[str, str] = {
        "listen_addr": ",".join(listen),
        "listen_port": str(instance.pooler_port),
        "unix_socket_dir": "",
        "pool_mode": "transaction",
        "auth_type": "hba",
        "auth_hba_file": str(conf / "pgbouncer_hba.conf"),
        "auth_user": POOLER,
        "auth_query": f"SELECT usename, passwd FROM {POOLER}.lookup($1)",  # noqa: S608  # a constant
        "max_client_conn": str(connections * CLIENTS_PER_CONNECTION),
        "default_pool_size": str(max(10, connections // 4)),
        "max_db_connections": str(connections // 2),  # the other half stays for direct connections
        "server_login_retry": "1",  # 15 s by default, for which one failed login blocks everybody
        "ignore_startup_parameters": "extra_float_digits",  # JDBC sends it
        "client_tls_sslmode": "require",
        "client_tls_cert_file": str(conf / "server.crt"),
        "client_tls_key_file": str(conf / "server.key"),
        "log_connections": "0",
        "log_disconnections": "0",
        **({"max_prepared_statements": "200"} if found.prepares else {}),
    }
    lines = [f"{name} = {value}" for name, value in values.items()]
    server = f"{instance.config.database} = host={instance.socket} port={instance.port}"
    return "\n".join(["[databases]", server, "[pgbouncer]", *lines, ""]).encode()


def access(instance: Instance, logins: Sequence[str]) -> bytes:
    """Who may come in, in the form of pg_hba.conf."""
    database, networks = instance.config.database, instance.config.allowed_networks
    return "".join(f"hostssl {database} {login} {net} scram-sha-256\n" for net in networks for login in logins).encode()


def ensure_lookup(connection: Connection, logins: Sequence[str]) -> None:
    """Let the pooler read the verifiers of the logins, and nothing else. In the customer's database; repeatable."""
    role = Identifier(POOLER)
    body = SQL(BODY).format(logins=SQL(", ").join(map(sql.Literal, logins))).as_string(connection)
    if connection.execute(PRESENT, (POOLER, body)).fetchone() is not None:
        return  # written anew each hour, it would make the catalogue grow
    with connection.transaction():
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (POOLER,)).fetchone() is None:
            connection.execute(SQL("CREATE ROLE {} LOGIN").format(role))
        connection.execute(SQL("GRANT CONNECT ON DATABASE {} TO {}").format(Identifier(connection.info.dbname), role))
        connection.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(role))
        connection.execute(SQL(LOOKUP).format(schema=role, body=sql.Literal(body)))
        connection.execute(SQL("REVOKE ALL ON FUNCTION {}.lookup(text) FROM PUBLIC").format(role))
        connection.execute(SQL("GRANT USAGE ON SCHEMA {} TO {}").format(role, role))
        connection.execute(SQL("GRANT EXECUTE ON FUNCTION {}.lookup(text) TO {}").format(role, role))
