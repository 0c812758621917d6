"""A state, one call of a provider, the state after it: unit tests of a provider without core, ledger or server."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, TypeVar, cast

import anyio.to_thread
from pydantic import BaseModel

from enopax_core.engine.present import NO_PLAN
from enopax_core.provider.base import Provider, overrides
from enopax_core.provider.spec import HOOKS
from enopax_core.provider.values import Outcome, Resource
from enopax_core.records.operation import Progress
from enopax_core.registry import Registered, Registry
from enopax_core.testing.handle import Handle
from enopax_core.testing.schema import listed
from enopax_core.testing.wire import Config, wire

ConfigT_co = TypeVar("ConfigT_co", covariant=True)
ID = re.compile(r"[a-z0-9-]{1,63}")
CHANGES = ("provision", "update", "delete", "restore", "purge", "rotate", "suspend", "resume")
LOOKS = ("status", "metrics", "logs", "preview")
OF_WHAT_EXISTS = ("update", "restore", "rotate", "suspend", "resume", "metrics", "logs")


class ImpossibleState(AssertionError):
    """The core would never make this call: a test of it proves nothing."""


@dataclass(frozen=True, kw_only=True)
class Stored(Resource[ConfigT_co], Generic[ConfigT_co]):
    """A resource as the core keeps it between two operations."""

    deleted: bool = False  # softly: the provider keeps its data


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of a call."""

    value: Any
    """What the method returned: an Outcome, Observed, metrics …"""
    resource: Stored[Any]
    """As the core would keep it afterwards; the next call takes it."""
    progress: Sequence[Progress] = ()
    announced: Sequence[Outcome] = ()
    steps: Mapping[str, Any] = field(default_factory=dict)
    """Results of steps by name; hand them to a second attempt."""

    @property
    def outcome(self) -> Outcome:
        """What a change has left behind. Raises TypeError if it returned none."""
        if not isinstance(self.value, Outcome):
            raise TypeError(f"The method returned {type(self.value).__name__} and no Outcome.")
        return self.value


class Scenario:
    """Calls one provider's methods as the engine would, each with a state that can be.

    `new = scenario.new({"message": "hello"})`, `result = await scenario.run("provision", new)`, and so on with
    `result.resource`. What the method raises reaches the test as it is.
    """

    def __init__(self, provider: Provider[Any], *, organisation: str = "Acme", project: str = "Web") -> None:
        """Raises PluginRefused as the start of a core would."""
        registry = Registry()
        registry.add_provider(provider, "scenario")
        self.provider = provider
        self._registered: Registered = registry.provider(provider.endpoint)
        self._organisation, self._project = organisation, project

    def new(
        self,
        config: Config | None = None,
        *,
        id: str = "acme-web-one-abc123",
        name: str = "one",
        plan: str | None = None,
        ssh_keys: Sequence[str] = (),
    ) -> Stored[Any]:
        """A resource that was accepted and of which nothing was made yet. Raises ImpossibleState."""
        plans = self._registered.plans
        chosen = plans.get(plan) if plan is not None else next(iter(plans.values()), NO_PLAN)
        if chosen is None:
            raise ImpossibleState(f"There is no plan {plan!r}; the provider offers {', '.join(plans) or 'none'}.")
        if not ID.fullmatch(id):
            raise ImpossibleState(f"No resource has the id {id!r}: it is 1 to 63 of a-z, 0-9 and -.")
        return Stored(
            id=id,
            name=name,
            organisation=self._organisation,
            project=self._project,
            organisation_slug=self._organisation.lower(),
            project_slug=self._project.lower(),
            plan=chosen,
            config=self._loaded({**chosen.preset, **wire(config or {})}),
            ssh_keys=ssh_keys,
        )

    async def run(
        self,
        hook: str,
        resource: Stored[Any],
        config: Config | None = None,
        *,
        attempt: int = 1,
        steps: Mapping[str, Any] | None = None,
    ) -> Result:
        """Call a method on a resource; `config` is what an update asks for, as a whole or in part.

        `attempt` and `steps` are those of a further attempt after a crash. Raises ImpossibleState, or what the method raises.
        """
        self._check(hook, resource, config, attempt)
        if config is not None:
            resource = replace(resource, config=self._loaded({**self._dumped(resource.config), **wire(config)}))
        handle = Handle(attempt=attempt, steps=steps)
        given = {"operation": handle, "resource": resource} if hook in CHANGES else {"resource": resource}
        method = getattr(self.provider, hook)
        if inspect.iscoroutinefunction(inspect.unwrap(method)):
            value = await method(**given)
        else:
            value = await anyio.to_thread.run_sync(partial(method, **given))
        return Result(
            value=value,
            resource=_after(hook, resource, handle.announced, value, keeps=self.provider.retention is not None),
            progress=handle.progressed,
            announced=handle.announced,
            steps=handle.steps,
        )

    async def inventory(self) -> set[str]:
        """Ids that the provider finds in its backend."""
        method = self.provider.inventory
        if inspect.iscoroutinefunction(method):
            return set(await method())
        return set(cast("Any", await anyio.to_thread.run_sync(method)))

    def _check(self, hook: str, resource: Stored[Any], config: object, attempt: int) -> None:
        name = type(self.provider).__qualname__
        provisioned = resource.applied is not None
        for impossible, why in (
            (hook not in HOOKS, f"There is no hook {hook!r}; a provider may have {', '.join(HOOKS)}."),
            (hook not in CHANGES + LOOKS, f"{hook} is not called on a resource."),
            (hook in HOOKS and not overrides(self.provider, hook), f"{name} does not implement {hook}, so it is never called."),
            (attempt < 1, "Attempts are counted from 1."),
            (hook == "provision" and provisioned, "The resource was provisioned already: what follows is an update."),
            (
                hook in OF_WHAT_EXISTS and not provisioned,
                f"{hook} is called once provisioning has succeeded: begin with run('provision', …) and go on with its resource.",
            ),
            (
                hook == "restore" and self.provider.retention is None,
                f"{name} keeps nothing of what is deleted (no `retention`), so nothing is restored.",
            ),
            (hook == "restore" and not resource.deleted, "Only what was deleted is restored: run('delete', …) first."),
            (hook == "purge" and not resource.deleted, "delete comes before purge: run('delete', …) first."),
            (
                resource.deleted and hook not in ("restore", "purge", "delete"),
                f"{hook} is not called on a deleted resource: run('restore', …) first.",
            ),
            (config is not None and hook not in ("update", "preview"), f"{hook} gets no new configuration; update does."),
        ):
            if impossible:
                raise ImpossibleState(why)

    def _loaded(self, sent: Mapping[str, Any]) -> Any:
        whole, faults = self._registered.configuration.parse(sent)
        if faults:
            raise ImpossibleState(f"The core refuses such a configuration: {listed(faults)}.")
        return self._registered.configuration.load(whole)

    def _dumped(self, config: Any) -> dict[str, Any]:
        return config.model_dump(mode="json", by_alias=True) if isinstance(config, BaseModel) else dict(config)


def _after(hook: str, resource: Stored[Any], announced: Sequence[Outcome], value: object, *, keeps: bool) -> Stored[Any]:
    """The resource as the core would keep it."""
    for outcome in (*announced, *([value] if isinstance(value, Outcome) else [])):
        if outcome.credentials is not None:
            resource = replace(resource, credentials=dict(outcome.credentials))
        if outcome.state is not None:
            resource = replace(resource, state=dict(outcome.state))
    match hook:
        case "provision" | "update":
            return replace(resource, applied=resource.config)
        case "delete":
            return replace(resource, deleted=True) if keeps else replace(resource, deleted=True, credentials={}, state={})
        case "restore":
            return replace(resource, deleted=False)
    return resource
