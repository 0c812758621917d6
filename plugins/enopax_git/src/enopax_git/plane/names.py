"""Which texts may become part of a path, a ref or a command line: ids, branch names, addresses of repositories.

Everything that comes from a client passes one of these before it reaches the file system or `git`.
"""

from __future__ import annotations

import re

__all__ = ["InvalidName", "check_branch", "check_id", "clean_repository_path"]

_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_SEGMENT = re.compile(r"[^\x00-\x1f\x7f/\\'\"`$<>|;&*?!{}()\[\]~^: ]{1,255}")
_LONGEST_PATH = 1024

# git-check-ref-format(1), rules 3 to 10, for the part after refs/heads/.
_BAD_IN_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")
_LONGEST_BRANCH = 200


class InvalidName(ValueError):
    """The name is not usable."""


def check_id(resource: str) -> str:
    """Return the resource id unchanged if it is `[a-z0-9-]`, at most 63 characters, no hyphen at its ends.

    Raises: InvalidName.
    """
    if not _ID.fullmatch(resource):
        raise InvalidName("A resource id is made of a-z, 0-9 and '-', at most 63 characters.")
    return resource


def check_branch(name: str) -> str:
    """Return the branch name unchanged if Git accepts it and it cannot be taken for an option.

    Raises: InvalidName.
    """
    wrong = (
        not name
        or len(name.encode("utf-8", "surrogateescape")) > _LONGEST_BRANCH
        or _BAD_IN_REF.search(name)
        or name.startswith(("-", "/"))
        or name.endswith(("/", "."))
        or name in {"@", "HEAD"}
        or any(part.startswith(".") or part.endswith(".lock") for part in name.split("/"))
        or any("\ud800" <= character <= "\udfff" for character in name)
    )
    if wrong:
        raise InvalidName("This is not a valid branch name.")
    return name


def clean_repository_path(path: str) -> str:
    """Give the path of a repository as the gate expects it: segments joined by `/`, one leading slash dropped.

    `ssh://host/org/project/repo.git` sends a leading slash, `host:org/project/repo.git` none. Anything that means something to a
    shell or a file system (`..`, `.`, empty segments, quotes, control characters, a leading hyphen) is refused, not repaired.
    Raises: InvalidName.
    """
    bare = path.removeprefix("/").removesuffix("/")
    segments = bare.split("/")
    wrong = len(path) > _LONGEST_PATH or any(
        not _SEGMENT.fullmatch(segment) or segment in {".", ".."} or segment.startswith("-") for segment in segments
    )
    if wrong:
        raise InvalidName("This is not the address of a repository.")
    return bare
