"""The files that a server reads: settings, access, certificate, the script that archives. Built without I/O.

They lie outside the data directory, because pg_basebackup and pg_rewind copy whatever is in it, the port included.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

SEGMENT_BYTES = 16 << 20
"""Size of one segment of the write-ahead log: initdb's default."""

ARCHIVE_SCRIPT = """#!/bin/sh
# archive-wal PATH NAME: keep one segment of the write-ahead log. PostgreSQL calls it, and again until it succeeds.
set -u
umask 077
source=$1 name=$2 target={target}
kept=$target/$name.gz draft=$target/.$name

archive() {{
    if [ -e "$kept" ]; then # PostgreSQL was killed before it could note that this one is done
        gzip -dc "$kept" | cmp -s - "$source"
        return
    fi
    mkdir -p "$target" && gzip -1 -c <"$source" >"$draft" && sync "$draft" && mv "$draft" "$kept" && sync "$target"
}}

archive && exit 0
rm -f "$draft"
# A full or lost archive must not fill the disk of the database as well: past this limit segments are given up, and the
# next backup begins anew. Until it is there, the resource is degraded.
set -- pg_wal/archive_status/*.ready
[ $# -le {limit} ] && exit 1
echo "$(date +%s) $name" >>{gap}
"""


def quoted(value: str | Path) -> str:
    """A string as postgresql.conf wants it."""
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"


def settings(values: Mapping[str, str]) -> bytes:
    """A postgresql.conf; values are written as they stand."""
    return "".join(f"{name} = {value}\n" for name, value in sorted(values.items())).encode()


def placement(conf: Path, port: int, addresses: list[str], cluster: str, socket: str) -> Mapping[str, str]:
    """Parameters that say where a server listens and what it reads."""
    command = f"/bin/sh {shlex.quote(str(conf / 'archive-wal'))}".replace("%", "%%")
    return {
        "port": str(port),
        "listen_addresses": quoted(",".join(addresses)),
        "unix_socket_directories": quoted(socket),
        "cluster_name": quoted(cluster),
        "hba_file": quoted(conf / "pg_hba.conf"),
        "ident_file": quoted(conf / "pg_ident.conf"),
        "ssl_ca_file": quoted(conf / "authority.crt"),
        "ssl_cert_file": quoted(conf / "server.crt"),
        "ssl_key_file": quoted(conf / "server.key"),
        "archive_command": quoted(f"{command} %p %f"),
    }


def archive_script(target: Path, gap: Path, most: int) -> bytes:
    """The script that archives; `most` bytes may wait before segments are given up, which `gap` then names."""
    limit = max(2, most // SEGMENT_BYTES)
    return ARCHIVE_SCRIPT.format(target=shlex.quote(str(target)), gap=shlex.quote(str(gap)), limit=limit).encode()


def restore_command(archives: list[Path]) -> str:
    """Fetch a segment from the first archive that has it."""
    fetch = " || ".join(f"gzip -dc {shlex.quote(str(folder)).replace('%', '%%')}/%f.gz 2>/dev/null" for folder in archives)
    # Into a draft first: a segment that is cut short must not look like one.
    return quoted(f"({fetch}) >%p.part && mv %p.part %p")
