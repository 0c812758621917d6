"""What a repository is like inside: size, commits, branches, time of the last push.

GitPython with fixed arguments only, one short-lived object a call: it builds command lines, and its history is one of arguments that
became options. Imported inside the function, because the import costs 210 ms and most processes never measure.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from enopax_git.plane import repository
from enopax_git.plane.commands import environment

__all__ = ["RepositoryMetrics", "measure"]


@dataclass(frozen=True, kw_only=True)
class RepositoryMetrics:
    """One look at a repository."""

    size_bytes: int
    commits: int  # reachable from any ref
    branches: int
    last_push: float | None  # seconds since the epoch; None: never


def measure(root: Path, resource: str) -> RepositoryMetrics:
    """Measure a repository; blocks for as long as git counts. Raises: InvalidName, FileNotFoundError."""
    import git

    directory = repository.directory(root, resource)
    if not repository.exists(root, resource):
        raise FileNotFoundError(resource)
    with git.Repo(directory) as repo:
        repo.git.update_environment(**environment())
        commits = int(repo.git.rev_list("--all", "--count"))
        branches = len(repo.git.for_each_ref("refs/heads/", "--format=x").split())
    return RepositoryMetrics(
        size_bytes=repository.size_bytes(root, resource),
        commits=commits,
        branches=branches,
        last_push=repository.last_push(root, resource),
    )
