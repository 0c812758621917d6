"""Git's hooks: one read-only directory for all repositories. They speak to the person at the other terminal."""

from __future__ import annotations

import os
from pathlib import Path

PRE_RECEIVE = """#!/bin/sh
# The quarantine holds what this push brings: refused here, it leaves nothing behind.
[ -n "$ENOPAX_LIMIT" ] || exit 0
[ -n "$GIT_QUARANTINE_PATH" ] || exit 0
new=$(du -sk "$GIT_QUARANTINE_PATH" | cut -f1)
need=$((ENOPAX_USED / 1024 + new))
[ "$need" -le "$((ENOPAX_LIMIT / 1024))" ] && exit 0
echo "Enopax: this push is refused: the repository may hold $((ENOPAX_LIMIT / 1024)) KiB and would need $need KiB."
echo "Enopax: push less, remove large files from the history, or choose a larger plan."
exit 1
"""
POST_RECEIVE = """#!/bin/sh
: > "$GIT_DIR/enopax-last-push"
"""


def write_hooks(folder: Path) -> Path:
    """Write them, executable and read-only; each in one step."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    for name, script in (("pre-receive", PRE_RECEIVE), ("post-receive", POST_RECEIVE)):
        draft = folder / f".{name}"
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o500), "w") as file:
            file.write(script)
        draft.chmod(0o555)
        draft.replace(folder / name)
    return folder
