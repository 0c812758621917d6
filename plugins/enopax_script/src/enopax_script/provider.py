"""From a folder to a provider: a class whose methods are the executables that are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from enopax_core.errors import PermanentError
from enopax_core.provider import Action, CustomEndpoint, Json, LogLine, Metric, Observed, Operation, Outcome, Provider, Resource
from enopax_script.folder import EndpointDescription, Folder
from enopax_script.run import Script

T = TypeVar("T")
METRICS = TypeAdapter(dict[str, Metric])
LINES = TypeAdapter(list[LogLine])
ACTIONS = TypeAdapter(list[Action])
IDS = TypeAdapter(list[str])
OUTCOME, OBSERVED = TypeAdapter(Outcome), TypeAdapter(Observed)


class Body(BaseModel):
    """Body of a custom endpoint: whatever the script takes."""

    model_config = ConfigDict(extra="allow")


@dataclass(frozen=True, kw_only=True)
class Executables:
    """What the methods of one provider call."""

    folder: Folder
    script: Script

    async def change(self, hook: str, operation: Operation, resource: Resource[Json], **more: Any) -> Any:
        """Run an executable for a change; its progress is the operation's."""
        given = {"operation": {"id": operation.id, "attempt": operation.attempt, "key": operation.key(hook)}, **more}

        def report(stage: str, message: str, percent: int | None) -> None:
            operation.progress(stage, message, percent)

        return await self._run(hook, resource, given, report)

    async def look(self, hook: str, resource: Resource[Json] | None, **more: Any) -> Any:
        """Run an executable that changes nothing."""
        return await self._run(hook, resource, more, None)

    async def _run(self, hook: str, resource: Resource[Json] | None, given: Mapping[str, Any], report: Any) -> Any:
        executable = self.folder.executable(hook)
        if executable is None:
            raise PermanentError(f"{hook} is gone from the provider's folder.")
        shown = {} if resource is None else {"resource": wire(resource)}
        id = "inventory" if resource is None else resource.id
        secrets = frozenset() if resource is None else frozenset(v for v in resource.credentials.values() if len(v) > 3)
        return await self.script.run(executable, id, {**shown, **given}, report=report, secrets=secrets)


def wire(resource: Resource[Json]) -> dict[str, Any]:
    """A resource as scripts read it."""
    return {
        "id": resource.id,
        "name": resource.name,
        "organisation": resource.organisation,
        "project": resource.project,
        "organisationSlug": resource.organisation_slug,
        "projectSlug": resource.project_slug,
        "plan": resource.plan.model_dump(mode="json"),
        "config": dict(resource.config),
        "applied": None if resource.applied is None else dict(resource.applied),
        "sshKeys": list(resource.ssh_keys),
        "state": dict(resource.state),
        "credentials": dict(resource.credentials),
    }


def read(kind: TypeAdapter[T], hook: str, found: Any, otherwise: Any) -> T:
    """What a script wrote, as a value. Raises PermanentError that names the field."""
    try:
        return kind.validate_python(otherwise if found is None else found)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise PermanentError(f"{hook} wrote a wrong {'/'.join(map(str, first['loc']))}: {first['msg']}.") from error


def hooks_of(run: Executables) -> dict[str, Callable[..., Any]]:
    """Methods for the executables that are there: what is not there is not declared."""

    def outcome(hook: str) -> Callable[..., Any]:
        async def method(self: Any, operation: Operation, resource: Resource[Json]) -> Outcome:
            return read(OUTCOME, hook, await run.change(hook, operation, resource), {})

        return method

    def nothing(hook: str) -> Callable[..., Any]:
        async def method(self: Any, operation: Operation, resource: Resource[Json]) -> None:
            await run.change(hook, operation, resource)

        return method

    def look(hook: str, kind: TypeAdapter[Any], otherwise: Any) -> Callable[..., Any]:
        async def method(self: Any, resource: Resource[Json]) -> Any:
            return read(kind, hook, await run.look(hook, resource), otherwise)

        return method

    async def inventory(self: Any) -> Sequence[str]:
        return read(IDS, "inventory", await run.look("inventory", None), [])

    offered: dict[str, Callable[..., Any]] = {
        **{hook: outcome(hook) for hook in ("provision", "update", "restore", "rotate")},
        **{hook: nothing(hook) for hook in ("delete", "purge", "suspend", "resume")},
        "status": look("status", OBSERVED, {"health": "ready"}),
        "metrics": look("metrics", METRICS, {}),
        "logs": look("logs", LINES, []),
        "preview": look("preview", ACTIONS, []),
        "inventory": inventory,
    }
    return {hook: method for hook, method in offered.items() if run.folder.executable(hook) is not None}


def endpoint_of(run: Executables, described: EndpointDescription) -> CustomEndpoint:
    """GET is a direct call, everything else a durable operation."""

    async def direct(resource: Resource[Json], **path: str) -> Any:
        return await run.look(described.name, resource, path=path)

    async def durable(operation: Operation, resource: Resource[Json], request: Body, **path: str) -> Any:
        return await run.change(described.name, operation, resource, path=path, request=request.model_dump(mode="json"))

    return CustomEndpoint(
        method=described.method,
        path=described.path,
        permission=described.permission,
        call=direct if described.method == "GET" else durable,
        name=described.name,
        description=described.description,
    )


def provider_of(folder: Folder, state: Path) -> Provider[Json]:
    """A provider made of a folder. Raises PluginRefused."""
    described = folder.description
    run = Executables(folder=folder, script=Script(state / described.endpoint))
    custom = [endpoint_of(run, one) for one in described.custom_endpoints]

    def endpoints(self: Any) -> Sequence[CustomEndpoint]:
        return custom

    members: dict[str, Any] = {
        "name": described.name,
        "endpoint": described.endpoint,
        "description": described.description,
        "config": dict(described.schema_),
        "plans": described.plans,
        "retention": described.retention,
        "timeout": timedelta(seconds=described.timeout_seconds),
        "attempts": described.attempts,
        "endpoints": endpoints,
        **hooks_of(run),
    }
    made: Provider[Json] = type(f"Script_{described.endpoint.replace('-', '_')}", (Provider,), members)()
    return made
