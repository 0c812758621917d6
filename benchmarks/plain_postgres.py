"""PostgreSQL as anybody starts it, beside the databases that Enopax provisions: the same programs, no runtime."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from common import free_port

from enopax_postgres.installations import Installation

ACCOUNT = "nobody" if os.geteuid() == 0 else None
"""PostgreSQL refuses to run as root."""


class PlainPostgres:
    """One server in a directory of its own."""

    def __init__(self, folder: Path, installation: Installation) -> None:
        self._folder, self._installation, self.port = folder, installation, free_port()
        folder.mkdir()
        folder.chmod(0o755)
        if ACCOUNT is not None:
            shutil.chown(folder, ACCOUNT)

    def create(self) -> None:
        """initdb, start, createdb: what one does without a service."""
        self.initialise()
        self.start()
        self.run("createdb", "--host=127.0.0.1", f"--port={self.port}", "--username=postgres", "app")

    def initialise(self, settings: Mapping[str, str] | None = None) -> None:
        """A data directory, with checksums as ours has them."""
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--data-checksums"]
        self.run("initdb", f"--pgdata={self._folder / 'data'}", *options)
        with (self._folder / "data/postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in (settings or {}).items())

    def certificate(self, conf: Path) -> Mapping[str, str]:
        """Settings for TLS with the certificate of another server."""
        for name in ("server.crt", "server.key"):
            copy = shutil.copy(conf / name, self._folder)
            Path(copy).chmod(0o600)
            if ACCOUNT is not None:
                shutil.chown(copy, ACCOUNT)
        files = {"ssl_cert_file": "server.crt", "ssl_key_file": "server.key"}
        return {"ssl": "on", **{name: f"'{self._folder / file}'" for name, file in files.items()}}

    def start(self, nice: int = 0) -> None:
        """Start it; return when it takes connections."""
        options = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1"
        data, log = self._folder / "data", self._folder / "log"
        self.run("pg_ctl", "start", "--wait", f"--pgdata={data}", f"--log={log}", f"--options={options}", nice=nice)

    def stop(self) -> None:
        """End it and remove what it has written."""
        if (self._folder / "data/postmaster.pid").exists():
            self.run("pg_ctl", "stop", "--wait", "--mode=immediate", f"--pgdata={self._folder / 'data'}")
        shutil.rmtree(self._folder)

    @property
    def pid(self) -> int:
        """Of the postmaster."""
        return postmaster(self._folder / "data")

    def url(self, tls: bool = True) -> str:
        """Address of its database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/app?sslmode={'require' if tls else 'disable'}"

    def run(self, program: str, *arguments: str, nice: int = 0) -> None:
        """Run one of PostgreSQL's programs; raises CalledProcessError."""
        command = ["nice", "-n", str(nice), self._installation.program(program), *arguments]
        quiet = subprocess.DEVNULL
        groups: list[str] | None = None if ACCOUNT is None else []
        subprocess.run(command, cwd=self._folder, user=ACCOUNT, extra_groups=groups, check=True, stdout=quiet, stderr=quiet)


def postmaster(data: Path) -> int:
    """Process id of the server of a data directory."""
    return int((data / "postmaster.pid").read_text().split("\n", 1)[0])
