"""Providers made of folders. A class is made for each: it has the hooks whose executables are there, and no others."""

from __future__ import annotations

import inspect
import json
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import anyio

from enopax_core.errors import EnopaxError
from enopax_core.provider import CustomEndpoint, Json, Operation, Outcome, Provider, Resource
from enopax_script import answers
from enopax_script.folder import Folder
from enopax_script.manifest import Endpoint
from enopax_script.process import Ran, run
from enopax_script.runs import VARIABLE, Runs
from enopax_script.secrecy import Secrets

T = TypeVar("T")
log = logging.getLogger(__name__)

CHANGES = ("provision", "update", "delete", "restore", "purge", "rotate", "suspend", "resume")
CHANGE_SECONDS, LOOK_SECONDS = 900.0, 30.0
LOOKS_AT_ONCE = 16  # processes that answer requests; changes are limited by the engine's workers
SPARE_SECONDS = 15.0  # the engine's own limit comes after ours, which ends the process
PROGRESS = 1000  # characters of a message


class ScriptProvider(Provider[Json]):
    """What every folder's class derives from: one run, from the input to the interpreted answer."""

    def __init__(self, folder: Folder, *, data: Path, runs: Runs) -> None:
        """`data` is where the provider keeps things; `runs` records what is under way."""
        manifest = folder.manifest
        self.description, self.plans, self.attempts = manifest.description, manifest.plans, manifest.attempts
        self.name_pattern = manifest.name_pattern
        self.retention = None if manifest.retention_days is None else timedelta(days=manifest.retention_days)
        self._folder, self._data, self._runs = folder, data, runs
        self._looks = anyio.CapacityLimiter(LOOKS_AT_ONCE)
        durable = (*CHANGES, *(endpoint.name for endpoint in manifest.custom_endpoints))
        self.timeout = timedelta(seconds=max(self._seconds(name) for name in durable) + SPARE_SECONDS)
        properties: Any = manifest.config.get("properties", {})
        self._secret = {n for n, field in properties.items() if isinstance(field, dict) and field.get("writeOnly")}

    def endpoints(self) -> Sequence[CustomEndpoint]:
        return [self._endpoint(endpoint) for endpoint in self._folder.manifest.custom_endpoints]

    def _endpoint(self, endpoint: Endpoint) -> CustomEndpoint:
        durable = endpoint.durable and endpoint.method != "GET"

        async def call(
            resource: Resource[Json], operation: Operation | None = None, request: Json | None = None, **path: str
        ) -> Any:
            more: dict[str, Any] = {"path": path, **({} if endpoint.body is None else {"request": request or {}})}
            if durable:
                return await self._run(endpoint.name, answers.answer, resource, operation, more)
            async with self._looks:
                return await self._run(endpoint.name, answers.answer, resource, operation, more)

        takes = ["resource", *(["operation"] if durable else []), *([] if endpoint.body is None else ["request"]), "path"]
        signature = inspect.signature(call)
        parameters = [signature.parameters[name].replace(default=inspect.Parameter.empty) for name in takes]
        call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # what the core goes by
        return CustomEndpoint(
            method=endpoint.method,
            path=endpoint.path or f"/{endpoint.name}",
            permission=endpoint.permission,
            call=call,
            name=endpoint.name,
            description=endpoint.description,
            retry=endpoint.retry,
            destructive=endpoint.destructive,
            schema=endpoint.body,
        )

    async def _change(self, name: str, operation: Operation, resource: Resource[Json]) -> Outcome:
        return await self._run(name, lambda ran: answers.outcome(ran, resource.id), resource, operation)

    async def _look(self, name: str, read: Callable[[Ran], T], resource: Resource[Json] | None = None) -> T:
        async with self._looks:
            return await self._run(name, read, resource)

    async def _run(
        self,
        name: str,
        read: Callable[[Ran], T],
        resource: Resource[Json] | None,
        operation: Operation | None = None,
        more: Json | None = None,
    ) -> T:
        """Run an executable and read its answer. Raises EnopaxError without a secret in it."""
        secrets, executable = Secrets(), self._folder.executables[name]
        if resource is not None:
            secrets.learn([resource.state, resource.credentials, {n: resource.config.get(n) for n in self._secret}])
        given = _input(resource, operation, more or {})

        async def hear(word: str, rest: str) -> None:
            if operation is None:
                return
            if word == "progress":
                stage, percent, message = parse_progress(secrets.hide(rest))
                operation.progress(stage, message, percent)
            else:
                ran = Ran(executable=executable, output=bytearray(rest.encode()))
                outcome = answers.outcome(ran, "" if resource is None else resource.id)
                secrets.learn([outcome.state, outcome.credentials])
                await operation.announce(outcome)

        self._data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._runs.recorded() as token:
            ran = await run(
                executable,
                json.dumps(given).encode(),
                environment={**self._environment(), VARIABLE: token},
                seconds=self._seconds(name),
                hear=hear,
            )
        secrets.learn(_new_secrets(ran))
        _log(ran, secrets)
        try:
            return read(ran)
        except EnopaxError as error:
            error.message = secrets.hide(error.message)
            error.args = (error.message,)
            raise error from None

    def _environment(self) -> dict[str, str]:
        """All that a script finds in its environment: nothing of the server's own, whose variables may hold secrets."""
        path = os.environ.get("PATH", os.defpath)
        return {"PATH": path, "LC_ALL": "C.UTF-8", "HOME": str(self._data), "DATA": str(self._data)}

    def _seconds(self, name: str) -> float:
        manifest = self._folder.manifest
        asked = {endpoint.name for endpoint in manifest.custom_endpoints if endpoint.durable and endpoint.method != "GET"}
        return manifest.timeouts.get(name, CHANGE_SECONDS if name in asked or name in CHANGES else LOOK_SECONDS)


def provider_of(folder: Folder, *, data: Path, runs: Runs) -> Provider[Json]:
    """A provider of a class of its own: an overridden hook declares the capability, there are no flags."""
    manifest = folder.manifest
    kind = type(
        str(folder.path),
        (ScriptProvider,),
        {
            **{hook: method for hook, method in METHODS.items() if hook in folder.executables},
            "name": manifest.name,
            "endpoint": manifest.endpoint,
            "config": manifest.config,
        },
    )
    provider: Provider[Json] = kind(folder, data=data, runs=runs)
    return provider


def _changing(hook: str) -> Callable[..., Awaitable[Any]]:
    async def change(self: ScriptProvider, operation: Operation, resource: Resource[Json]) -> Outcome:
        return await self._change(hook, operation, resource)

    change.__name__ = hook
    return change


def _looking(hook: str, read: Callable[[Ran], Any]) -> Callable[..., Awaitable[Any]]:
    async def look(self: ScriptProvider, resource: Resource[Json]) -> Any:
        return await self._look(hook, read, resource)

    look.__name__ = hook
    return look


async def inventory(self: ScriptProvider) -> Sequence[str]:
    """Ids of everything in the backend."""
    return await self._look("inventory", lambda ran: answers.listed(answers.IDS, "ids", ran))


METHODS: dict[str, Callable[..., Awaitable[Any]]] = {
    **{hook: _changing(hook) for hook in CHANGES},
    "status": _looking("status", answers.observed),
    "metrics": _looking("metrics", answers.metrics),
    "preview": _looking("preview", lambda ran: answers.listed(answers.ACTIONS, "actions", ran)),
    "logs": _looking("logs", lambda ran: answers.listed(answers.LINES, "lines", ran)),
    "inventory": inventory,
}
"""What each hook does with its executable."""


def _input(resource: Resource[Json] | None, operation: Operation | None, more: Json) -> Json:
    """What a script reads: what the customer sent, flat as it came, with the id; beside it what the core knows."""
    given: dict[str, Any] = {}
    if resource is not None:
        given = {
            **resource.config,
            "id": resource.id,
            "name": resource.name,
            "organisationName": resource.organisation,
            "projectName": resource.project,
            "sshKeys": list(resource.ssh_keys),
            "plan": resource.plan.id,
            "resource": {
                "organisationSlug": resource.organisation_slug,
                "projectSlug": resource.project_slug,
                "limits": dict(resource.plan.limits),
                "applied": resource.applied,
                "state": resource.state,
                "credentials": resource.credentials,
            },
        }
    if operation is not None:
        given["operation"] = {"id": operation.id, "attempt": operation.attempt}
    return {**given, **more}


def parse_progress(text: str) -> tuple[str, int | None, str]:
    """`STAGE [N%] MESSAGE`, as stage, per cent and message."""
    stage, _, rest = text.partition(" ")
    first, _, message = rest.strip().partition(" ")
    if first.endswith("%") and first[:-1].isdecimal():
        return stage, int(first[:-1]), message.strip()[:PROGRESS]
    return stage, None, rest.strip()[:PROGRESS]


def _new_secrets(ran: Ran) -> Any:
    """What a script's answer holds that nobody may read, whatever becomes of the answer."""
    try:
        found = json.loads(ran.output)
    except ValueError:
        return None
    return [found.get("state"), found.get("credentials")] if isinstance(found, dict) else None


def _log(ran: Ran, secrets: Secrets) -> None:
    level = logging.WARNING if ran.status or ran.failure else logging.INFO
    for line in secrets.hide(ran.log.decode(errors="backslashreplace")).splitlines():
        log.log(level, "%s: %s", ran.executable, "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line))
