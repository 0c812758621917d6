"""Bare repositories on disk, each under `<root>/<id>.git`: made, changed, measured and removed without running `git`.

Every change is atomic and may be repeated: what a killed attempt left behind is cleaned by the next one, or by `sweep` at start.
Directories: `.staging/` holds what is being made, `.trash/` what is being deleted, both in the same file system as the rest.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path

from enopax_git.plane.names import check_branch, check_id

__all__ = [
    "create",
    "default_branch",
    "directory",
    "exists",
    "inventory",
    "last_push",
    "purge",
    "set_default_branch",
    "set_description",
    "size_bytes",
    "sweep",
]

LAST_PUSH = "enopax-last-push"  # its modification time is the time of the last push (see hooks.py)

_STAGING = ".staging"
_TRASH = ".trash"
# A bare repository is these and no more: `git init` also writes sample hooks and `info/exclude`, which nobody here reads.
_DIRECTORIES = ("objects", "objects/info", "objects/pack", "refs", "refs/heads", "refs/tags")
_CONFIG = b"[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"


def directory(root: Path, resource: str) -> Path:
    """Where the repository of this id is. Raises: InvalidName."""
    return root / f"{check_id(resource)}.git"


def exists(root: Path, resource: str) -> bool:
    """Whether the repository is there; it is there completely or not at all. Raises: InvalidName."""
    return directory(root, resource).joinpath("HEAD").is_file()


def create(root: Path, resource: str, branch: str = "main", description: str = "") -> Path:
    """Make an empty bare repository and give its directory; durable on return. An existing one is left as it is.

    It is built aside and renamed into place, so that no client ever meets half of one.
    Raises: InvalidName, OSError.
    """
    check_branch(branch)
    target = directory(root, resource)
    staging = root / _STAGING
    if not exists(root, resource):
        aside = staging / f"{resource}.{secrets.token_hex(6)}"
        try:
            aside.mkdir(mode=0o750)
        except FileNotFoundError:
            staging.mkdir(mode=0o700, parents=True, exist_ok=True)
            aside.mkdir(mode=0o750)
        for name in _DIRECTORIES:
            aside.joinpath(name).mkdir(mode=0o750)
        files = {"HEAD": f"ref: refs/heads/{branch}\n".encode(), "config": _CONFIG}
        if description:
            files["description"] = _one_line(description)
        _write_all(aside, files)
        try:
            aside.rename(target)
        except OSError:
            # Another attempt was faster: a directory that is not empty cannot be renamed over. Theirs is as good as ours.
            shutil.rmtree(aside, ignore_errors=True)
            if not exists(root, resource):
                raise
        _sync_directory(root)
    _remove_leftovers(staging, resource)
    return target


def set_default_branch(root: Path, resource: str, branch: str) -> None:
    """Point HEAD at a branch, which need not exist yet. Raises: InvalidName, FileNotFoundError."""
    content = f"ref: refs/heads/{check_branch(branch)}\n".encode()
    _replace(directory(root, resource) / "HEAD", content)


def default_branch(root: Path, resource: str) -> str:
    """The branch HEAD points at. Raises: InvalidName, FileNotFoundError."""
    head = directory(root, resource).joinpath("HEAD").read_text(encoding="utf-8").strip()
    return head.removeprefix("ref: refs/heads/")


def set_description(root: Path, resource: str, description: str) -> None:
    """Write the description, on one line without control characters. Raises: InvalidName, FileNotFoundError."""
    _replace(directory(root, resource) / "description", _one_line(description))


def last_push(root: Path, resource: str) -> float | None:
    """Seconds since the epoch of the last push that changed a ref; None: never. Raises: InvalidName."""
    try:
        return directory(root, resource).joinpath(LAST_PUSH).stat().st_mtime
    except FileNotFoundError:
        return None


def size_bytes(root: Path, resource: str) -> int:
    """Bytes in the repository's files, 0 if it is not there. Blocks while it walks the directory. Raises: InvalidName."""
    return _tree_size(os.fspath(directory(root, resource)))


def purge(root: Path, resource: str) -> bool:
    """Delete the repository and give the disk back; True if there was one. May be repeated after a kill.

    Renamed away first: no client finds half a repository, and the name is free at once.
    Raises: InvalidName, OSError.
    """
    target = directory(root, resource)
    trash = root / _TRASH
    there = target.is_dir()
    if there:
        trash.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            target.rename(trash / f"{resource}.{secrets.token_hex(6)}")
        _sync_directory(root)
    _remove_leftovers(trash, resource)
    _remove_leftovers(root / _STAGING, resource)
    return there


def inventory(root: Path) -> list[str]:
    """The ids of all repositories, sorted; what is half made or half deleted is not among them."""
    try:
        with os.scandir(root) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(".git") and entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return sorted(name.removesuffix(".git") for name in names)


def sweep(root: Path) -> int:
    """Remove everything half made and half deleted, and give how many; for the start, when nothing else is at work."""
    removed = 0
    for place in (root / _STAGING, root / _TRASH):
        with contextlib.suppress(FileNotFoundError):
            for entry in list(place.iterdir()):
                shutil.rmtree(entry, ignore_errors=True)
                removed += 1
    return removed


def _write_all(aside: Path, files: dict[str, bytes]) -> None:
    """Write the files and make them and their directories durable.

    Everything is written before the first fsync: a journalling file system then commits it all at once, and the rest find nothing to do.
    """
    descriptors: list[int] = []
    try:
        for name, content in files.items():
            descriptors.append(os.open(aside / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640))
            os.write(descriptors[-1], content)
        for name in (*_DIRECTORIES, "."):
            descriptors.append(os.open(aside / name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        for descriptor in descriptors:
            os.fsync(descriptor)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _replace(target: Path, content: bytes) -> None:
    aside = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    try:
        with aside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    _sync_directory(target.parent)


def _remove_leftovers(place: Path, resource: str) -> None:
    """Remove what attempts for this id left in `.staging` or `.trash`; ids hold no dot, so the prefix is exact."""
    try:
        with os.scandir(place) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(f"{resource}.")]
    except FileNotFoundError:
        return
    for name in names:
        shutil.rmtree(place / name, ignore_errors=True)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _tree_size(path: str) -> int:
    """Sum of file sizes; files that vanish while git works are simply not counted."""
    total = 0
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if entry.is_dir(follow_symlinks=False):
                        total += _tree_size(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0
    return total


def _one_line(text: str) -> bytes:
    printable = "".join(character if character.isprintable() else " " for character in text)
    return (" ".join(printable.split()) + "\n").encode("utf-8", "replace")
