"""Use case on custom endpoints: find the one that a path means, call it or accept it as an operation."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import BaseModel, ValidationError

from enopax_core.core.acceptance import NO_CONDITIONS, Acceptance, Accepted, Conditions, audit, require_match
from enopax_core.core.looks import Looks, Seen
from enopax_core.engine.engine import Engine
from enopax_core.engine.execute import ANY
from enopax_core.engine.present import Presenter
from enopax_core.errors import Fault, Invalid, NotFound, NotReady
from enopax_core.governors import Governors
from enopax_core.hooks import Change
from enopax_core.ledger.interface import Ledger
from enopax_core.provider.config import Checker, model_faults
from enopax_core.provider.endpoints import CustomEndpoint
from enopax_core.provider.transfers import Download, Upload
from enopax_core.records.principal import Permission, Principal
from enopax_core.registry import Registered, Registry
from enopax_core.vault import Vault


@dataclass(frozen=True, kw_only=True)
class Match:
    """A custom endpoint that a path means, with the values in the path."""

    registered: Registered
    endpoint: CustomEndpoint
    path: Mapping[str, str]


class Endpoints:
    """Custom endpoints. Every face calls only these."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        registry: Registry,
        governors: Governors,
        resources: Looks,
        acceptance: Acceptance,
        engine: Engine,
        presenter: Presenter,
        vault: Vault,
    ) -> None:
        self._ledger, self._registry, self._governors, self._resources = ledger, registry, governors, resources
        self._acceptance, self._engine, self._presenter, self._vault = acceptance, engine, presenter, vault
        self._patterns = [
            (known.endpoint, endpoint, re.compile(_pattern(endpoint.path)))
            for known in registry.providers
            for endpoint in known.endpoints
        ]
        schemas = {endpoint.call: body_schema(endpoint) for _, endpoint, _ in self._patterns}
        self._checkers = {call: Checker(schema) for call, schema in schemas.items() if schema is not None}

    def methods(self, endpoint: str, path: str) -> list[str]:
        """Methods that a path below a resource answers to; empty: there is no such path."""
        return sorted({e.method for owner, e, p in self._patterns if owner == endpoint and p.fullmatch(path)})

    def match(self, endpoint: str, method: str, path: str) -> Match:
        """What a path below a resource means. Raises NotFound."""
        for owner, custom, pattern in self._patterns:
            found = pattern.fullmatch(path) if owner == endpoint and custom.method == method else None
            if found:
                return Match(registered=self._registry.provider(endpoint), endpoint=custom, path=found.groupdict())
        raise NotFound

    async def find(self, principal: Principal, match: Match, id: str) -> Seen:
        """The resource, if the caller may use the endpoint on it. Raises NotFound, Forbidden, NotReady."""
        seen = await self._resources.find(principal, match.registered.endpoint, id, match.endpoint.permission)
        if not seen.record.has_backend or not seen.record.live:
            raise NotReady
        return seen

    def check(self, match: Match, body: Any) -> None:
        """Check a request body against the endpoint's schema and model. Raises Invalid with every fault at its pointer."""
        checker, model = self._checkers.get(match.endpoint.call), request_model(match.endpoint)
        if checker is None:
            if body not in (None, {}):
                raise Invalid(faults=[Fault("", "This endpoint takes no body.")])
            return
        given = {} if body is None else body
        faults = checker.faults(given)
        if faults:
            raise Invalid(faults=faults)
        if model is None:
            return
        try:  # what a schema cannot say; alone, pydantic would take "5" for an integer
            model.model_validate(given)
        except ValidationError as error:
            raise Invalid(faults=model_faults(error)) from error

    async def call(
        self,
        principal: Principal,
        match: Match,
        seen: Seen,
        body: Any,
        conditions: Conditions = NO_CONDITIONS,
        upload: Upload | None = None,
    ) -> Any:
        """Call directly; what it returns, as JSON, or a Download.

        What is no GET is admitted as every change is; that, and what takes the right to read credentials, is audited first.

        Raises: PreconditionFailed, or what a plugin refuses with or the provider raises.
        """
        require_match(seen.record, conditions)
        change, changes = _change(principal, match, seen), match.endpoint.method != "GET"
        if changes:
            await self._governors.admit(change)
        if changes or match.endpoint.permission == Permission.CREDENTIALS:
            await self._ledger.write(partial(audit, change=change, resource=seen.record.id))
        resource = await self._presenter.resource(seen.record, match.registered)
        result = await self._engine.executor.call_endpoint(
            match.registered, match.endpoint, resource, {"path": match.path, "request": body, "upload": upload}
        )
        return result if isinstance(result, Download) else ANY.dump_python(result, mode="json", by_alias=True)

    async def accept(
        self, principal: Principal, match: Match, seen: Seen, body: Any, conditions: Conditions = NO_CONDITIONS
    ) -> Accepted:
        """Accept as a durable operation.

        Raises: Gone, Suspended, PreconditionFailed, or what the endpoint's own check or a plugin refuses with.
        """
        arguments = {"path": dict(match.path), "request": body}
        change = _change(principal, match, seen)
        await self._governors.admit(change)
        if match.endpoint.check is not None:
            resource = await self._presenter.resource(seen.record, match.registered)
            await self._engine.executor.check_endpoint(match.registered, match.endpoint, resource, arguments)
        return await self._acceptance.queue(change, match.registered, conditions, seal=partial(self._vault.seal, arguments))


def _change(principal: Principal, match: Match, seen: Seen) -> Change:
    return Change(
        type=match.endpoint.name,
        permission=match.endpoint.permission,
        principal=principal,
        place=seen.place,
        endpoint=seen.record.endpoint,
        before=seen.record,
    )


def request_model(endpoint: CustomEndpoint) -> type[BaseModel] | None:
    """The model of an endpoint's parameter `request`; None: it takes no body, or says what it takes by a schema."""
    if endpoint.schema is not None:
        return None
    parameter = inspect.signature(endpoint.call, eval_str=True).parameters.get("request")
    if parameter is None:
        return None
    model: type[BaseModel] = parameter.annotation
    return model


def body_schema(endpoint: CustomEndpoint) -> dict[str, Any] | None:
    """JSON Schema of an endpoint's body; None: it takes none."""
    model = request_model(endpoint)
    if endpoint.schema is not None:
        return dict(endpoint.schema)
    return None if model is None else model.model_json_schema(by_alias=True)


def _pattern(path: str) -> str:
    """`/backups/{backup}/verify` as a regular expression."""
    return "".join(
        f"(?P<{part[1:-1]}>[^/]+)" if part.startswith("{") else re.escape(part)
        for part in re.split(r"(\{\w+\})", path.strip("/"))
    )
