"""What each type of operation calls in its provider."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pydantic import BaseModel, TypeAdapter

from enopax_core.engine.attempt import Attempt
from enopax_core.engine.calls import Calls
from enopax_core.engine.effects import Ended
from enopax_core.engine.present import Presenter
from enopax_core.engine.reconcile import Reconciler
from enopax_core.errors import EnopaxError, PermanentError, TemporaryError
from enopax_core.governors import Governors
from enopax_core.provider.base import Provider
from enopax_core.provider.endpoints import CustomEndpoint
from enopax_core.provider.values import Observed, Operation, Outcome, Resource
from enopax_core.records.operation import Kind, State
from enopax_core.records.resource import ResourceRecord
from enopax_core.registry import Registered, Registry
from enopax_core.vault import Vault

ANY = TypeAdapter(Any)


class Executor:
    """Turns an operation into calls of its provider."""

    def __init__(
        self,
        *,
        registry: Registry,
        governors: Governors,
        vault: Vault,
        presenter: Presenter,
        reconciler: Reconciler,
        calls: Mapping[str, Calls],
    ) -> None:
        """`calls` by endpoint, of every provider."""
        self._registry, self._governors, self._vault = registry, governors, vault
        self._presenter, self._reconciler = presenter, reconciler
        self._calls = calls

    def knows(self, endpoint: str) -> bool:
        """Whether there is a provider at an endpoint: its plugin may be missing now."""
        return endpoint in self._calls

    def provider(self, endpoint: str) -> Provider[Any]:
        """The provider of an endpoint. Raises NotFound."""
        return self._registry.provider(endpoint).provider

    def calls(self, endpoint: str) -> Calls:
        """The crossing into a provider, for looks that are no operations."""
        return self._calls[self._registry.provider(endpoint).endpoint]

    async def run(self, attempt: Attempt, record: ResourceRecord | None) -> Ended:
        """Call what the operation's type names. Raises what the provider raises."""
        operation = attempt.record
        registered = self._registry.provider(operation.endpoint)
        if operation.type == Kind.RECONCILE:
            return await self._reconciler.run(registered, self.calls(operation.endpoint), record)
        if record is None:
            raise PermanentError("The resource is gone.")
        resource = await self._presenter.resource(record, registered)
        async with self._governors.attempt(attempt, resource):
            return await self._change(attempt, registered, resource, has_backend=record.has_backend, record=record)

    async def _change(
        self,
        attempt: Attempt,
        registered: Registered,
        resource: Resource[Any],
        *,
        has_backend: bool,
        record: ResourceRecord,
    ) -> Ended:
        calls = self.calls(registered.endpoint)
        hooks = calls.hooks
        match attempt.record.type:
            case Kind.PROVISION:
                return await self._checked(calls, resource, await calls(hooks.provision, operation=attempt, resource=resource))
            case Kind.UPDATE:
                hook = hooks.update if has_backend else hooks.provision  # the first provisioning may have failed
                return await self._checked(calls, resource, await calls(hook, operation=attempt, resource=resource))
            case Kind.RESTORE:
                return await self._checked(calls, resource, await calls(hooks.restore, operation=attempt, resource=resource))
            case Kind.ROTATE:
                return Ended(state=State.SUCCEEDED, outcome=await calls(hooks.rotate, operation=attempt, resource=resource))
            case Kind.DELETE:
                await calls(hooks.delete, operation=attempt, resource=resource)
            case Kind.PURGE:
                if record.deleted_at is None:
                    await calls(hooks.delete, operation=attempt, resource=resource)
                if registered.has(Kind.PURGE):
                    await calls(hooks.purge, operation=attempt, resource=resource)
            case Kind.SUSPEND:
                await calls(hooks.suspend, operation=attempt, resource=resource)
            case Kind.RESUME:
                await calls(hooks.resume, operation=attempt, resource=resource)
            case _:
                return await self._added(attempt, registered, resource)
        return Ended(state=State.SUCCEEDED)

    async def _checked(self, calls: Calls, resource: Resource[Any], outcome: Outcome | None) -> Ended:
        """A change counts once the backend was looked at."""
        try:
            found: Observed | None = await calls(calls.hooks.status, resource=resource)
        except EnopaxError:
            found = None  # it could not look: Ready becomes Unknown, and reconcile looks again
        if found is not None and found.health == "missing":
            raise TemporaryError("The backend is not there after the change.")
        return Ended(state=State.SUCCEEDED, outcome=outcome, looked=True, found=found)

    async def _added(self, attempt: Attempt, registered: Registered, resource: Resource[Any]) -> Ended:
        """A custom endpoint with a parameter `operation`, or a schedule."""
        name = attempt.record.type
        for schedule in registered.schedules:
            if schedule.name == name:
                call = partial(schedule.call, operation=attempt, resource=resource)
                result = await self.calls(registered.endpoint).run(name, schedule.call, call)
                return Ended(state=State.SUCCEEDED, outcome=result if isinstance(result, Outcome) else None)
        for endpoint in registered.endpoints:
            if endpoint.name == name:
                arguments = self._vault.open(attempt.record.sealed_input)
                result = await self.call_endpoint(registered, endpoint, resource, arguments, operation=attempt)
                outcome = result if isinstance(result, Outcome) else None
                return Ended(
                    state=State.SUCCEEDED,
                    outcome=outcome,
                    result=None if outcome else ANY.dump_python(result, mode="json", by_alias=True),
                )
        raise PermanentError(f"The provider no longer knows {name}.")

    async def call_endpoint(
        self,
        registered: Registered,
        endpoint: CustomEndpoint,
        resource: Resource[Any],
        arguments: Mapping[str, Any],
        *,
        operation: Operation | None = None,
    ) -> Any:
        """Call a custom endpoint. `arguments`: `path` (strings by name), `request` (JSON), `upload`, as far as it takes them."""
        given = _given(endpoint.call, resource, arguments)
        if operation is not None:
            given["operation"] = operation
        return await self.calls(registered.endpoint).run(endpoint.name, endpoint.call, partial(endpoint.call, **given))

    async def check_endpoint(
        self, registered: Registered, endpoint: CustomEndpoint, resource: Resource[Any], arguments: Mapping[str, Any]
    ) -> None:
        """Ask a custom endpoint whether it would take a request. Raises what it refuses with."""
        if endpoint.check is not None:
            call = partial(endpoint.check, **_given(endpoint.check, resource, arguments))
            await self.calls(registered.endpoint).run(endpoint.name, endpoint.check, call)


def _given(function: Callable[..., object], resource: Resource[Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a custom endpoint's method: the resource, the values in the path, the body as its model."""
    given: dict[str, Any] = {**arguments.get("path", {}), "resource": resource}
    parameters = inspect.signature(function, eval_str=True).parameters
    if "request" in parameters:
        model = parameters["request"].annotation
        body = arguments.get("request")
        is_model = isinstance(model, type) and issubclass(model, BaseModel)
        given["request"] = model.model_validate(body or {}) if is_model else body
    if "upload" in parameters:
        given["upload"] = arguments.get("upload")
    return given
