"""What a repository is like, read through GitPython with fixed arguments. Imported only when somebody asks."""

from __future__ import annotations

from collections.abc import Mapping

from git import Repo

from enopax_core.provider import Metric
from enopax_git.store import Store


def measure(store: Store, id: str) -> Mapping[str, Metric]:
    """Size, commits, branches and last push."""
    with Repo(store.path(id)) as repository:  # closed at once: its helper processes would linger otherwise
        branches = len(repository.heads)
        commits = int(repository.git.rev_list("--all", "--count"))
    found = {
        "size": Metric(value=store.size(id), unit="bytes", help="Bytes on disk."),
        "commits": Metric(value=commits, unit="commits", help="Commits reachable from any reference."),
        "branches": Metric(value=branches, unit="branches", help="Branches."),
    }
    pushed = store.last_push(id)
    if pushed is not None:
        found["last_push"] = Metric(value=round(pushed, 3), unit="seconds", help="Last push, seconds since 1970 UTC.")
    return found
