"""Roles and the database of a customer.

The owner cannot log in; two login roles act as the owner and are rotated in turn, so that a change of password breaks no
connection: the new credentials name the other role, and the old password ends by itself (`VALID UNTIL`).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

from psycopg import Connection
from psycopg.sql import SQL, Composable, Identifier, Literal

OWNER = "app_owner"
LOGINS = ("app_a", "app_b")
PASSWORD_BYTES = 24


def new_password() -> str:
    """A password that needs no quoting in a URL."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def other_login(login: str) -> str:
    """The login role whose turn it is after this one."""
    return LOGINS[1] if login == LOGINS[0] else LOGINS[0]


def ensure_roles(connection: Connection, replication: str) -> None:
    """Owner, logins without a password, and the role of replicas and backups. Repeatable."""
    _ensure_role(connection, OWNER, "NOLOGIN")
    for login in LOGINS:
        _ensure_role(connection, login, "LOGIN INHERIT")
        _execute(connection, "GRANT {} TO {}", Identifier(OWNER), Identifier(login))
        _execute(connection, "ALTER ROLE {} SET role = {}", Identifier(login), Identifier(OWNER))
    _ensure_role(connection, replication, "LOGIN REPLICATION")


def ensure_database(connection: Connection, name: str) -> None:
    """The customer's database, closed to everybody else. Repeatable; the connection must be in autocommit."""
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
        _execute(connection, "CREATE DATABASE {} OWNER {} STRATEGY wal_log", Identifier(name), Identifier(OWNER))
    _execute(connection, "REVOKE ALL ON DATABASE {} FROM PUBLIC", Identifier(name))


def ensure_extensions(connection: Connection, names: Sequence[str]) -> None:
    """Extensions, in the schema `public` of the connected database. Repeatable."""
    for name in names:
        _execute(connection, "CREATE EXTENSION IF NOT EXISTS {} SCHEMA public", Identifier(name))


def set_password(connection: Connection, login: str, password: str) -> None:
    """Set a password; only its SCRAM verifier leaves this process, so no log ever holds the clear text."""
    verifier = connection.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256").decode()
    _execute(connection, "ALTER ROLE {} PASSWORD {} VALID UNTIL 'infinity'", Identifier(login), Literal(verifier))


def clear_password(connection: Connection, login: str) -> None:
    """Let nobody in with a login until it gets a new password."""
    _execute(connection, "ALTER ROLE {} PASSWORD NULL", Identifier(login))


def expire(connection: Connection, login: str, at: datetime) -> None:
    """Let the password of a login end; connections that are open stay."""
    _execute(connection, "ALTER ROLE {} VALID UNTIL {}", Identifier(login), Literal(at.isoformat()))


def _ensure_role(connection: Connection, name: str, options: LiteralString) -> None:
    if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone() is None:
        _execute(connection, "CREATE ROLE {} " + options, Identifier(name))


def _execute(connection: Connection, statement: LiteralString, *parts: Composable) -> None:
    connection.execute(SQL(statement).format(*parts))
