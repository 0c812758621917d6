"""Whether others may read what is the installation's alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio

from enopax_core.core.backups import KEYS
from enopax_core.core.doctor.installation import Installation, found
from enopax_core.records.finding import Finding


async def check(installation: Installation) -> Sequence[Finding]:
    """See `open_to_others`."""

    def look() -> list[Finding]:
        return list(open_to_others(installation.data_dir, fix=installation.fix))

    return found("permissions", worse=await anyio.to_thread.run_sync(look), well="Others can read none of it.")


def open_to_others(data_dir: Path, *, fix: bool) -> Iterator[Finding]:
    """The directory and the key files, where others may read them. `fix` takes that away. Blocks."""
    for path in (data_dir, *(data_dir / name for name in KEYS)):
        if path.exists() and path.stat().st_mode & 0o077:
            if fix:
                path.chmod(path.stat().st_mode & 0o700)
                yield Finding(check="permissions", severity="ok", message=f"Others could read {path}; mended.")
            else:
                remedy = f"chmod go= {path}"
                yield Finding(check="permissions", severity="error", message=f"Others may read {path}.", remedy=remedy)
