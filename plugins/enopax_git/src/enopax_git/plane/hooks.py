"""The hooks that every repository shares, from one read-only directory (`core.hooksPath`); repositories hold none of their own.

`pre-receive` refuses a push that would take the repository past its plan's limit, with numbers and a way out; what it refuses stays in
git's quarantine and is gone with it. `post-receive` notes the time of the push. Both are plain sh: a Python would cost 15 ms a push.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from enopax_git.plane.repository import LAST_PUSH

__all__ = ["HARD_LIMIT", "LIMIT", "install_hooks", "too_large", "written_size"]

LIMIT = "ENOPAX_GIT_LIMIT"  # bytes the repository may hold
HARD_LIMIT = "ENOPAX_GIT_HARD_LIMIT"  # bytes of one push at which git stops reading

# Counts the objects directory, which holds this quarantine and those of pushes in flight: two at once cannot both slip through.
# `ls -ln` rather than `du -b` or `find -printf`: those two are GNU's alone.
_PRE_RECEIVE = rf"""#!/bin/sh
[ -n "${LIMIT}" ] && [ -n "$GIT_QUARANTINE_PATH" ] || exit 0
size() {{ find "$1" -type f -exec ls -ln {{}} + 2>/dev/null | awk '{{ sum += $5 }} END {{ printf "%.0f", sum }}'; }}
need=$(size "${{GIT_OBJECT_DIRECTORY%/*}}")
[ "$need" -gt "${LIMIT}" ] || exit 0
new=$(size "$GIT_QUARANTINE_PATH")
[ "$new" -gt 0 ] || exit 0
awk -v limit="${LIMIT}" -v need="$need" -v new="$new" '
function human(bytes,   unit) {{
    for (unit = 1; bytes >= 1024 && unit < 5; unit++) bytes /= 1024
    return sprintf(unit == 1 ? "%.0f %s" : "%.1f %s", bytes, substr("B  KiBMiBGiBTiB", unit * 3 - 2, unit == 1 ? 1 : 3))
}}
BEGIN {{
    print "Enopax: this push does not fit."
    print "Enopax: the plan of this repository allows " human(limit) "; with this push (" human(new) ") it would need " human(need) "."
    print "Enopax: remove large files from what you push, or change to a larger plan. Nothing was stored."
}}' >&2
exit 1
"""

_POST_RECEIVE = f"""#!/bin/sh
: > {LAST_PUSH}
"""


def install_hooks(directory: Path) -> Path:
    """Write the hooks into `directory`, each in one step, and give the directory. May be repeated. Raises: OSError."""
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    for name, script in (("pre-receive", _PRE_RECEIVE), ("post-receive", _POST_RECEIVE)):
        target = directory / name
        if target.exists() and target.read_text(encoding="utf-8") == script and os.access(target, os.X_OK):
            continue
        aside = directory / f".{name}.{secrets.token_hex(6)}"
        aside.write_text(script, encoding="utf-8")
        aside.chmod(0o555)
        aside.rename(target)
    return directory


def too_large(limit: int, hard_limit: int) -> str:
    """What to tell whoever sent so much that git stopped reading, where the hook could not speak any more."""
    return (
        f"Enopax: this push was stopped after {written_size(hard_limit)}: the plan of this repository allows {written_size(limit)} "
        "in all.\nEnopax: remove large files from what you push, or change to a larger plan. Nothing was stored."
    )


def written_size(size: float) -> str:
    """A size for people: `1.5 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
