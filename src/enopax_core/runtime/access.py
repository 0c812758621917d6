"""Directories and files that belong to the user services run as, and the way there.

The server may run as root in a data directory of mode 0700, which the user it drops services to cannot enter. Only that
user is let through, by an access control list entry that permits passing and nothing else (acl(5)): opening the directory
to the world (0711) would let every user of the machine try names in it.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import shutil
import stat
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from enopax_core.errors import PermanentError
from enopax_core.runtime.service import File, check_inside
from enopax_core.runtime.user import User

log = logging.getLogger(__name__)
ACL = "system.posix_acl_access"
# <linux/posix_acl_xattr.h>: a version, then entries of tag, permissions and id, sorted by tag, then id.
VERSION, ENTRY, NO_ID = 2, struct.Struct("<HHI"), 0xFFFFFFFF
OWNER, USER, GROUP, NAMED_GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
OTHERS = frozenset({GROUP, NAMED_GROUP, OTHER})
SEARCH = 1


def let_pass(path: Path, user: User) -> None:
    """Let the user services run as reach a path: every directory above it becomes passable for that user alone.

    Raises: PermanentError naming a directory for which that is impossible, and the remedy.
    """
    if not user.dropped:
        return
    for place in {path.absolute(), path.resolve()}:  # a link and what it leads to lie in different directories
        for folder in reversed(place.parents):
            if not _is_passable(folder, user):
                _grant(folder, user)


def make_directory(path: Path, user: User) -> None:
    """A directory of the user's, mode 0700, that the user can reach. Repeatable."""
    path.parent.mkdir(exist_ok=True, mode=0o711)  # whoever may pass need not see whose services there are
    path.mkdir(exist_ok=True, mode=0o700)
    let_pass(path, user)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if user.dropped:
            os.fchown(descriptor, user.uid, user.gid)
        os.fchmod(descriptor, 0o700)
    finally:
        os.close(descriptor)


def write_files(directory: Path, files: Mapping[str, File], user: User) -> None:
    """Put files below a directory, each atomically. Follows no link: what lies there may be an attacker's, and we be root.

    Raises: ValueError for a path outside; PermanentError where a link or a file stands in the way.
    """
    for name, file in files.items():
        check_inside(name)
        parts = PurePosixPath(name).parts
        try:
            with _folder(directory, parts[:-1], user) as folder:
                _write(folder, parts[-1], file, user)
        except (NotADirectoryError, IsADirectoryError) as error:
            raise PermanentError(f"The file {name} of a service cannot be written: something else is in its place.") from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise PermanentError(f"The file {name} of a service cannot be written: a link is in its way.") from error
            raise


def remove_directory(path: Path) -> None:
    """Remove a directory with everything in it; repeatable."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)


def is_open_to_others(path: Path) -> bool:
    """Whether its group, another group or everybody may do anything with it. A user that is let pass by name is not meant."""
    entries, mode = _entries(path), path.stat().st_mode
    if not entries:
        return bool(mode & 0o077)
    mask = entries.get((MASK, NO_ID), 7)  # bounds what groups may, and not what everybody may
    return any(permissions & (7 if tag == OTHER else mask) for (tag, _), permissions in entries.items() if tag in OTHERS)


def close_to_others(path: Path) -> None:
    """Take that away, and leave users that are let pass by name, whom chmod would lock out."""
    entries = _entries(path)
    if not entries:
        path.chmod(path.stat().st_mode & 0o700)
    else:
        _set_entries(path, {entry: 0 if entry[0] in OTHERS else permissions for entry, permissions in entries.items()})


@contextlib.contextmanager
def _folder(directory: Path, parts: tuple[str, ...], user: User) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(directory, flags)
    try:
        for part in parts:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o700, dir_fd=descriptor)
                if user.dropped:
                    os.chown(part, user.uid, user.gid, dir_fd=descriptor, follow_symlinks=False)
            inner = os.open(part, flags, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _write(folder: int, name: str, file: File, user: User) -> None:
    temporary = f".{secrets.token_hex(8)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as target:
            target.write(file.content)
            if user.dropped:
                os.fchown(descriptor, user.uid, user.gid)
            os.fchmod(descriptor, file.mode)
            target.flush()
            os.fsync(descriptor)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(temporary, dir_fd=folder)
        raise
    os.fsync(folder)


# ── Access control lists ──────────────────────────────────────────────────────────────────────────────────────────────


def _is_passable(folder: Path, user: User) -> bool:
    found = folder.stat()
    entries = _entries(folder)
    if found.st_uid == user.uid:
        return bool(found.st_mode & stat.S_IXUSR)
    mask = entries.get((MASK, NO_ID), 7)
    if (USER, user.uid) in entries:
        return bool(entries[USER, user.uid] & mask & SEARCH)
    if found.st_gid == user.gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)


def _entries(folder: Path) -> dict[tuple[int, int], int]:
    try:
        value = os.getxattr(folder, ACL)
    except (OSError, AttributeError):  # none; or a file system, or an operating system, without them
        return {}
    return {(tag, id): permissions for tag, permissions, id in ENTRY.iter_unpack(value[4:])}


def _set_entries(folder: Path, entries: Mapping[tuple[int, int], int]) -> None:
    packed = b"".join(ENTRY.pack(tag, permissions, id) for (tag, id), permissions in sorted(entries.items()))
    os.setxattr(folder, ACL, struct.pack("<I", VERSION) + packed)


def _grant(folder: Path, user: User) -> None:
    mode = folder.stat().st_mode
    entries = _entries(folder) or {
        (OWNER, NO_ID): mode >> 6 & 7,
        (GROUP, NO_ID): mode >> 3 & 7,
        (OTHER, NO_ID): mode & 7,
    }
    entries[USER, user.uid] = entries.get((USER, user.uid), 0) | SEARCH
    entries[MASK, NO_ID] = entries.get((MASK, NO_ID), mode >> 3 & 7) | SEARCH
    try:
        _set_entries(folder, entries)
    except OSError as error:
        raise PermanentError(
            f"The user {user.name}, as whom services run, cannot enter {folder} ({error.strerror}): choose a --data-dir"
            f" elsewhere, or let it pass with chmod o+x {folder}."
        ) from error
    log.info("The user %s may pass through %s now, to reach its services.", user.name, folder)
