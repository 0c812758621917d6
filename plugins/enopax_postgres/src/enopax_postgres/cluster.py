"""PostgreSQL's data directory: made once for each version and locale, then copied with a system identifier of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import struct
import subprocess
import time
from pathlib import Path

from enopax_core.provider import PermanentError
from enopax_postgres.installations import Installation
from enopax_postgres.machine import Machine

CONTROL = Path("global/pg_control")
CRC32C = 0x82F63B78
"""Polynomial of CRC-32C (Castagnoli), reflected; PostgreSQL's src/port/pg_crc32c_sb8.c."""


def initialise(machine: Machine, installation: Installation, data: Path, locale: str) -> None:
    """Run initdb: UTF-8, checksums, a superuser without password. Takes about a second."""
    machine.run(
        installation,
        "initdb",
        f"--pgdata={data}",
        "--username=postgres",
        "--auth=reject",  # ours is hba_file; this one is never read
        "--encoding=UTF8",
        "--data-checksums",
        "--no-instructions",
        "--no-sync",  # the copy is synced
        *_locale_options(installation, locale),
    )


def copy(machine: Machine, installation: Installation, template: Path, data: Path) -> None:
    """Copy a prepared data directory; it appears in one step, durable, with a system identifier of its own."""
    draft = data.with_name(f"{data.name}.{secrets.token_hex(4)}")
    shutil.copytree(template, draft, symlinks=True)
    machine.own(draft, below=True)
    renew_identifier(draft)
    # Writes the identifier into the write-ahead log too.
    machine.run(installation, "pg_resetwal", f"--pgdata={draft}")
    sync(draft)
    draft.rename(data)
    sync(data.parent)


def renew_identifier(data: Path) -> None:
    """Give a data directory that was shut down cleanly another system identifier: copies must not mix their archives.

    pg_control begins with the identifier and ends with a CRC-32C, whose place depends on the version: it is where the
    stored value fits. (pg_createsubscriber does the same with the structure's definition at hand.)
    """
    file = data / CONTROL
    content = bytearray(file.read_bytes())
    end = _place_of_crc(content)
    identifier = (int(time.time()) << 32) | secrets.randbits(32)  # as PostgreSQL: seconds, then what makes it unique
    struct.pack_into("=Q", content, 0, identifier)
    struct.pack_into("=I", content, end, crc32c(content[:end]))
    file.write_bytes(content)


def system_identifier(data: Path) -> str:
    """The identifier under which the write-ahead log is archived."""
    (identifier,) = struct.unpack_from("=Q", (data / CONTROL).read_bytes(), 0)
    return str(identifier)


def crc32c(content: bytes | bytearray) -> int:
    """CRC-32C of some bytes."""
    value = 0xFFFFFFFF
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (CRC32C if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def sync(folder: Path) -> None:
    """Make everything on the file system of a directory durable: one call instead of one for each of a thousand files."""
    if subprocess.run(["sync", "--file-system", str(folder)], capture_output=True, check=False).returncode:
        os.sync()  # not GNU


def _place_of_crc(content: bytes | bytearray) -> int:
    value = 0xFFFFFFFF
    for place, byte in enumerate(content[:512]):
        if place % 4 == 0 and place >= 8 and struct.unpack_from("=I", content, place)[0] == value ^ 0xFFFFFFFF:
            return place
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (CRC32C if value & 1 else 0)
    raise PermanentError("The control file of a data directory is not as expected: its checksum does not fit.")


def _locale_options(installation: Installation, locale: str) -> list[str]:
    """`C` and `C.UTF-8` sort by code point and never change; languages need ICU, whose rules depend on its version."""
    if locale in ("C", "C.UTF-8"):
        if installation.major >= 17:
            return ["--locale=C", "--locale-provider=builtin", f"--builtin-locale={locale}"]
        return [f"--locale={locale}"]
    if not installation.icu:
        raise PermanentError(f"This PostgreSQL {installation.major} is built without ICU: only C.UTF-8 and C are possible.")
    return ["--locale=C", "--locale-provider=icu", f"--icu-locale={locale}"]
