"""Whether code, database and plugins fit together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points, version
from pathlib import Path

import anyio
from packaging.requirements import InvalidRequirement, Requirement

from enopax_core.core.backups import LEDGER
from enopax_core.core.doctor.installation import Installation, found
from enopax_core.errors import EnopaxError
from enopax_core.ledger.migrations import pending
from enopax_core.records.finding import Finding
from enopax_core.registry import GROUP

CORE = "enopax-core"


async def check(installation: Installation) -> Sequence[Finding]:
    """See `unfit`, `outdated` and `unmigrated`."""

    def look() -> list[Finding]:
        worse = [*unfit(_requirements(), version(CORE))]
        if installation.running:
            worse += outdated(installation.data_dir, version(CORE))
        else:
            worse += unmigrated(installation)
        return worse

    well = f"This is {version(CORE)}; the database and the plugins fit it."
    return found("versions", worse=await anyio.to_thread.run_sync(look), well=well)


def unfit(requirements: Mapping[str, Iterable[str]], core: str) -> Iterator[Finding]:
    """Plugins that were made for another core. `requirements`: what each distribution says that it needs (PEP 508)."""
    for distribution, lines in requirements.items():
        for line in lines:
            try:
                wanted = Requirement(line)
            except InvalidRequirement:
                continue
            if wanted.name == CORE and not wanted.specifier.contains(core, prereleases=True):
                message = f"{distribution} needs {CORE} {wanted.specifier}, this is {core}."
                remedy = f"pip install --upgrade {distribution} {CORE}"
                yield Finding(check="versions", severity="error", message=message, remedy=remedy)


def outdated(data_dir: Path, installed: str) -> Iterator[Finding]:
    """Whether the server that runs is of another version than the one that is installed. Blocks."""
    try:
        running = json.loads((data_dir / "server.json").read_text("utf-8"))["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # embedded, or about to end
    if running != installed:
        message = f"The server that runs is {running}; {installed} is installed."
        yield Finding(check="versions", severity="warning", message=message, remedy="restart the server: enopax serve")


def unmigrated(installation: Installation) -> Iterator[Finding]:
    """Migrations that the next start will run. Blocks. A database that is too new is the finding `ledger`."""
    try:
        names = pending(installation.data_dir / LEDGER, installation.tables)
    except EnopaxError:
        return
    if names:
        message = f"The next start changes the database ({', '.join(names)}): an older version cannot read it afterwards."
        remedy = f"enopax backup --data-dir {installation.data_dir}, then enopax serve"
        yield Finding(check="versions", severity="warning", message=message, remedy=remedy)


def _requirements() -> Mapping[str, Iterable[str]]:
    return {entry.dist.name: entry.dist.requires or () for entry in entry_points(group=GROUP) if entry.dist is not None}
