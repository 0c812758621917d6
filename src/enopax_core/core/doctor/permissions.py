"""Whether others may read what is the installation's alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio

from enopax_core.core.backups import KEYS
from enopax_core.core.doctor.installation import Installation, found
from enopax_core.records.finding import Finding
from enopax_core.runtime.access import close_to_others, is_open_to_others


async def check(installation: Installation) -> Sequence[Finding]:
    """See `open_to_others`."""

    def look() -> list[Finding]:
        return list(open_to_others(installation.data_dir, fix=installation.fix))

    return found("permissions", worse=await anyio.to_thread.run_sync(look), well="Others can read none of it.")


def open_to_others(data_dir: Path, *, fix: bool) -> Iterator[Finding]:
    """The directory and the key files, where others may read them. `fix` takes that away. Blocks."""
    for path in (data_dir, *(data_dir / name for name in KEYS)):
        if path.exists() and is_open_to_others(path):
            if fix:
                close_to_others(path)
                yield Finding(check="permissions", severity="ok", message=f"Others could read {path}; mended.")
            else:
                remedy = "enopax doctor --fix"  # not chmod: it would lock out the user that services run as
                yield Finding(check="permissions", severity="error", message=f"Others may read {path}.", remedy=remedy)
