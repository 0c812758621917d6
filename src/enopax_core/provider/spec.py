"""The provider hooks: each signature once, as the pluggy specification that `Provider` inherits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

import pluggy

from enopax_core.provider.endpoints import CustomEndpoint, Schedule
from enopax_core.provider.values import Action, Metric, Observed, Operation, Outcome, Resource
from enopax_core.records.log import LogLine

ConfigT = TypeVar("ConfigT")
hookspec, hookimpl = pluggy.HookspecMarker("enopax"), pluggy.HookimplMarker("enopax")


class ProviderSpec(ABC, Generic[ConfigT]):
    """The provider hooks. Overriding one declares the capability; a plain method runs in a worker thread.

    Changes receive `(operation, resource)`, looks `(resource)`. New needs add fields to those two, never parameters.
    A change is called again after a crash with the same resource id: it must converge, never duplicate.
    """

    @hookspec(firstresult=True)
    @abstractmethod
    def provision(self, operation: Operation, resource: Resource[ConfigT]) -> Outcome | Awaitable[Outcome]:
        """Create the backend. Called by a worker after POST; the answer says where it is reached."""

    @hookspec(firstresult=True)
    @abstractmethod
    def status(self, resource: Resource[ConfigT]) -> Observed | Awaitable[Observed]:
        """Look at the backend. Called by reconcile and after operations, never by a GET."""

    @hookspec(firstresult=True)
    @abstractmethod
    def delete(self, operation: Operation, resource: Resource[ConfigT]) -> Awaitable[None] | None:
        """Take the backend out of service, repeatably. With `retention` its data stays until `purge`; without, it goes.

        Also called to clean up after a provisioning that failed or was cancelled half-way.
        """

    @hookspec(firstresult=True)
    def update(self, operation: Operation, resource: Resource[ConfigT]) -> Outcome | Awaitable[Outcome]:
        """Make the backend match `resource.config`, name, plan and SSH keys. Called by a worker after PUT or PATCH."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def restore(self, operation: Operation, resource: Resource[ConfigT]) -> Outcome | Awaitable[Outcome]:
        """Bring a deleted backend back within `retention`."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def purge(self, operation: Operation, resource: Resource[ConfigT]) -> Awaitable[None] | None:
        """Free what `delete` kept, repeatably. Called when the retention ends, or at once with `?purge=true`."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def rotate(self, operation: Operation, resource: Resource[ConfigT]) -> Outcome | Awaitable[Outcome]:
        """Issue new credentials; the old ones stop working."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def suspend(self, operation: Operation, resource: Resource[ConfigT]) -> Awaitable[None] | None:
        """Stop the backend's work while there is a hold; keep its data. Called after the first hold."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def resume(self, operation: Operation, resource: Resource[ConfigT]) -> Awaitable[None] | None:
        """Take up work again. Called after the last hold was released."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def preview(self, resource: Resource[ConfigT]) -> Sequence[Action] | Awaitable[Sequence[Action]]:
        """Say what provision would do; change nothing. Called for `?dry_run=true` of POST.

        Of an update the core itself tells the difference.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def metrics(self, resource: Resource[ConfigT]) -> Mapping[str, Metric] | Awaitable[Mapping[str, Metric]]:
        """Measure now. Called for `GET …/metrics`."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def logs(self, resource: Resource[ConfigT]) -> Sequence[LogLine] | Awaitable[Sequence[LogLine]]:
        """The latest lines of the backend's log, oldest first. Called for `GET …/logs`."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def follow(self, resource: Resource[ConfigT]) -> AsyncGenerator[LogLine, None]:
        """The latest lines, then each as it is written, until closed: an asynchronous generator, beside `logs`.

        Called for `GET …/logs` as a stream. Without it the core asks `logs` again and again, and what is written between
        two looks beyond what that shows is lost.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def inventory(self) -> Iterable[str] | Awaitable[Iterable[str]]:
        """Ids of all resources that have anything in the backend: what the ledger does not know is an orphan."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def endpoints(self) -> Sequence[CustomEndpoint]:
        """Custom endpoints; the base class collects the methods marked `@custom_endpoint`. Called once, at the start."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def schedules(self) -> Sequence[Schedule]:
        """Schedules; the base class collects the methods marked `@scheduled`. Called once, at the start."""
        raise NotImplementedError


HOOKS = tuple(name for name, member in vars(ProviderSpec).items() if hasattr(member, "enopax_spec"))
"""Names of all provider hooks."""

CAPABILITIES = ("provision", "status", "metrics", "update", "delete", "restore", "purge", "rotate", "preview", "logs")
"""Hooks that discovery announces where they are overridden, in the order in which it lists them."""
