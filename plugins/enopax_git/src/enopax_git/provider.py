"""The provider `git-repo`."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from pydantic import BaseModel, Field, field_validator

from enopax_core.provider import (
    Config,
    Metric,
    Observed,
    Operation,
    Outcome,
    PermanentError,
    Plan,
    Provider,
    Resource,
    TemporaryError,
    custom_endpoint,
    scheduled,
)
from enopax_git.access import ENDPOINT, TOKEN_PREFIX
from enopax_git.processes import Access, environment
from enopax_git.store import Store

BRANCH = r"^[A-Za-z0-9_][A-Za-z0-9_./+@=-]{0,199}$"
NAME = r"^(?!.*\.(git|lock)$)[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


class RepositoryConfig(Config):
    """What a customer may choose."""

    default_branch: str = Field(default="main", pattern=BRANCH, description="Branch that HEAD points to.")
    description: str = Field(default="", max_length=1000, description="What the repository is about.")

    @field_validator("default_branch")
    @classmethod
    def _possible(cls, branch: str) -> str:
        """What a pattern cannot say (git check-ref-format, rules 1 to 10)."""
        parts = branch.split("/")
        if any(not part or part.startswith(".") or part.endswith((".lock", ".")) for part in parts):
            raise ValueError("no part of a branch's name may be empty, begin with a dot, or end with a dot or .lock")
        if ".." in branch or "@{" in branch or branch in ("@", "HEAD"):
            raise ValueError("this cannot be the name of a branch")
        return branch


class RepackReport(BaseModel):
    """What repacking brought."""

    freed: int = Field(description="Bytes that the repository takes less.")


class GitProvider(Provider[RepositoryConfig]):
    """Bare repositories under opaque ids, reached as `organisation/project/name` over SSH and HTTP."""

    name, endpoint = "git", ENDPOINT
    description = "A Git repository, reached over SSH and HTTP."
    retention = timedelta(days=30)
    name_pattern = NAME

    def __init__(
        self, store: Store, limit: int, addresses: Callable[[str], Mapping[str, str]], revoked: Callable[[str], None]
    ) -> None:
        """`addresses` gives the addresses of `organisation/project/name`; `revoked` hears of credentials that end."""
        self.plans = (Plan(id="git-free", name="Free", description="One repository.", limits={"bytes": limit}),)
        self._store, self._addresses, self._revoked = store, addresses, revoked

    def provision(self, operation: Operation, resource: Resource[RepositoryConfig]) -> Outcome:
        operation.progress("provision", "Creating the repository")
        self._store.create(resource.id, resource.config.default_branch, resource.config.description)
        # Called again after a crash: what was given out before must stay.
        token = resource.credentials.get("token") or _token(resource.id)
        return self._outcome(resource, token)

    def update(self, operation: Operation, resource: Resource[RepositoryConfig]) -> Outcome:
        operation.progress("configure", "Configuring the repository")
        self._store.configure(resource.id, resource.config.default_branch, resource.config.description)
        return self._outcome(resource, None)

    def rotate(self, operation: Operation, resource: Resource[RepositoryConfig]) -> Outcome:
        self._revoked(f"git:{resource.id}")
        return Outcome(credentials={"username": "git", "token": _token(resource.id)})

    def delete(self, operation: Operation, resource: Resource[RepositoryConfig]) -> None:
        operation.progress("delete", "Taking the repository out of service")
        self._store.put_aside(resource.id)

    def restore(self, operation: Operation, resource: Resource[RepositoryConfig]) -> Outcome:
        if not self._store.bring_back(resource.id):
            raise PermanentError("Nothing is left of this repository.")
        return self._outcome(resource, None)

    def purge(self, operation: Operation, resource: Resource[RepositoryConfig]) -> None:
        operation.progress("purge", "Freeing the disk")
        self._store.purge(resource.id)

    def status(self, resource: Resource[RepositoryConfig]) -> Observed:
        if not self._store.exists(resource.id):
            return Observed(health="missing", message="The repository is not on disk.")
        return Observed(health="ready", config={"defaultBranch": self._store.branch(resource.id)})

    def metrics(self, resource: Resource[RepositoryConfig]) -> Mapping[str, Metric]:
        from enopax_git.measure import measure  # GitPython costs 210 ms to import

        return measure(self._store, resource.id)

    def inventory(self) -> Iterable[str]:
        return self._store.ids()

    @custom_endpoint("POST", "/repack", permission="operate")
    def repack(self, operation: Operation, resource: Resource[RepositoryConfig]) -> RepackReport:
        """Repack the repository to free disk space."""
        operation.progress("repack", "Repacking")
        before = self._store.size(resource.id)
        self._gc(resource.id)
        return RepackReport(freed=max(0, before - self._store.size(resource.id)))

    @scheduled(every=timedelta(days=1))
    def maintenance(self, operation: Operation, resource: Resource[RepositoryConfig]) -> None:
        """Repack where something was pushed since the last time: reading stays fast, and no push waits for it."""
        pushed = self._store.last_push(resource.id)
        packed = self._store.path(resource.id) / "packed-refs"
        if pushed is not None and not (packed.exists() and packed.stat().st_mtime > pushed):
            self._gc(resource.id)

    def _gc(self, id: str) -> None:
        directory = self._store.path(id)
        access = Access(resource=id, directory=directory, service="upload-pack")
        done = subprocess.run(
            ["nice", "-n", "15", "git", "--git-dir", str(directory), "gc", "--quiet"],
            env=environment(access, None),
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise TemporaryError("Git could not repack the repository.")

    def _outcome(self, resource: Resource[RepositoryConfig], token: str | None) -> Outcome:
        path = f"{resource.organisation_slug}/{resource.project_slug}/{resource.name}"
        connection = self._addresses(path)
        credentials = None if token is None else {"username": "git", "token": token}
        return Outcome(access=connection["ssh"], connection=connection, credentials=credentials)


def _token(id: str) -> str:
    return f"{TOKEN_PREFIX}{id}_{secrets.token_urlsafe(32)}"
