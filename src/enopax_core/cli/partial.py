"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from enopax_core.errors import Conflict


def written_whole(file: Path, pieces: Iterable[bytes], check: Callable[[Path], object] = lambda _: None) -> int:
    """Write a file that its owner alone can read and give it its name once `check` has passed; its size in bytes.

    Killed in between, `FILE.part` is left, which the next time replaces. Raises Conflict where the file exists.
    """
    if file.exists():
        raise Conflict(f"{file} exists: choose another name.")
    draft = file.with_name(f"{file.name}.part")
    draft.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
            for piece in pieces:
                output.write(piece)
            output.flush()
            os.fsync(output.fileno())
        check(draft)
        draft.rename(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return file.stat().st_size
