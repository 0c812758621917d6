"""Copies of repositories while people push to them, and putting them back. Hard links where possible: no byte is copied.

Git writes a new file and renames it over the old one, so a link keeps what was there. A push stores its objects before it
moves a reference, and nothing removes objects meanwhile (repacking is an operation, and those wait): copying the
references first and the objects after them gives a repository in which every reference leads to its objects.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

FOLDERS = ("live", "deleted")
HOST_KEY = "ssh_host_ed25519_key"
LOOSE = re.compile(r"[0-9a-f]{2}/[0-9a-f]{38,62}")
PACK = re.compile(r"(?P<stem>pack-[0-9a-f]+)\.idx")
OF_A_PACK = (".pack", ".rev", ".bitmap", ".mtimes", ".keep", ".promisor", ".idx")  # the index last: it makes a pack count


def back_up(root: Path, folder: Path) -> None:
    """Copy every repository and the SSH host key. Blocks."""
    for kind in FOLDERS:
        (folder / kind).mkdir(mode=0o700)
        for repository in sorted((root / kind).glob("*.git")):
            copy_repository(repository, folder / kind / repository.name)
    if (root / HOST_KEY).exists():
        shutil.copy2(root / HOST_KEY, folder / HOST_KEY)


def restore(folder: Path, root: Path) -> None:
    """Put a copy in its place. Blocks."""
    root.mkdir(mode=0o700)
    for path in folder.iterdir():
        path.rename(root / path.name)


def copy_repository(source: Path, target: Path) -> None:
    """Copy one: references, then objects."""
    for name in _files(source):
        if not name.startswith("objects/"):
            _copy(source / name, target / name)
    for name in ("refs", "objects"):  # with HEAD, what makes a directory a repository
        (target / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    objects = source / "objects"
    packs: list[str] = []
    for name in _files(objects):
        if match := PACK.fullmatch(name.removeprefix("pack/")):
            packs.append(match["stem"])
        elif LOOSE.fullmatch(name):
            _link(objects / name, target / "objects" / name)
        elif name.startswith("info/") or name == "pack/multi-pack-index":
            _copy(objects / name, target / "objects" / name)
    for stem in packs:
        for suffix in OF_A_PACK:
            _link(objects / "pack" / (stem + suffix), target / "objects/pack" / (stem + suffix))


def _files(folder: Path, below: str = "") -> Iterator[str]:
    """Paths of all files below, but for what a running Git is about to rename; folders first, `packed-refs` after `refs`."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder / below) as found:
        entries = sorted(found, key=lambda entry: (not entry.is_dir(follow_symlinks=False), entry.name))
        for entry in entries:
            if entry.name.startswith("tmp_") or entry.name.endswith(".lock"):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _files(folder, f"{below}{entry.name}/")
            else:
                yield f"{below}{entry.name}"


def _copy(source: Path, target: Path) -> None:
    """A file that may be written in place, or that is small. What has gone meanwhile is left out."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileNotFoundError):
        shutil.copy2(source, target)


def _link(source: Path, target: Path) -> None:
    """A file that never changes."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        os.link(source, target)
    except FileNotFoundError:
        return  # a pack has not all of these
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
