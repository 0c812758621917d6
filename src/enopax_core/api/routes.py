"""Every route of the core: path, method, who may use it, handler. Routing, OpenAPI and the tests of roles read it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.responses import Response

from enopax_core.api import audit, doctor
from enopax_core.api.backups import backup
from enopax_core.api.call import Call
from enopax_core.api.events import EventHandlers
from enopax_core.api.idempotency import Once
from enopax_core.api.keys import KeyHandlers
from enopax_core.api.logs import LogHandlers
from enopax_core.api.operations import OperationHandlers
from enopax_core.api.resources import ResourceHandlers
from enopax_core.api.streaming import OpenStreams
from enopax_core.core.core import Core

Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class ApiRoute:
    """One method of one path."""

    method: str
    path: str
    handler: Handler
    permission: str  # of the core's, asked for by the use case
    summary: str
    tokens: bool = False  # a resource token may be used here
    installation: bool = False  # the permission is asked for on the whole installation


def api_routes(core: Core) -> Sequence[ApiRoute]:
    """All routes below `/v1`, the more specific ones first."""
    once, streams = Once(core), OpenStreams(core)
    operations, keys, events = OperationHandlers(once), KeyHandlers(once), EventHandlers(streams)
    resources, logs = ResourceHandlers(once), LogHandlers(streams)

    def route(method: str, path: str, handler: Handler, permission: str, summary: str, *, tokens: bool = False) -> ApiRoute:
        return ApiRoute(method=method, path=path, handler=handler, permission=permission, summary=summary, tokens=tokens)

    def admin(method: str, path: str, handler: Handler, summary: str) -> ApiRoute:
        path = f"/v1/admin{path}"
        return ApiRoute(method=method, path=path, handler=handler, permission="admin", summary=summary, installation=True)

    one = "/v1/{endpoint}/{id}"
    return (
        route("GET", "/v1/operations", operations.page, "read", "List a project's operations"),
        route("GET", "/v1/operations/{id}", operations.get, "read", "Look at an operation"),
        route("GET", "/v1/operations/{id}/events", events.of_operation, "read", "Follow an operation", tokens=True),
        route("POST", "/v1/operations/{id}/cancel", operations.cancel, "update", "Cancel an operation"),
        route("POST", "/v1/operations/{id}/retry", operations.retry, "update", "Try a failed operation again"),
        route("GET", "/v1/events", events.of_project, "read", "Follow a project"),
        route("GET", "/v1/keys", keys.page, "keys", "List API keys"),
        route("POST", "/v1/keys", keys.create, "keys", "Create an API key"),
        route("DELETE", "/v1/keys/{id}", keys.revoke, "keys", "Revoke an API key"),
        route("POST", "/v1/keys/{id}/rotate", keys.rotate, "keys", "Give an API key a new secret"),
        route("GET", "/v1/audit", audit.page, "audit", "Read a project's audit log"),
        admin("GET", "/doctor", doctor.examine, "Examine the installation"),
        admin("POST", "/doctor", doctor.mend, "Examine the installation and mend what is safe"),
        admin("POST", "/backup", backup, "Back up the installation"),
        admin("GET", "/audit", audit.export, "Export the whole audit log as JSON lines"),
        admin("GET", "/audit/verify", audit.verify, "Verify the audit log"),
        route("GET", "/v1/{endpoint}", resources.page, "read", "List a project's resources"),
        route("POST", "/v1/{endpoint}", resources.provision, "create", "Provision a resource"),
        route("GET", one, resources.get, "read", "Look at a resource"),
        route("PUT", one, resources.update, "update", "Change a resource"),
        route("PATCH", one, resources.update, "update", "Change a resource"),
        route("DELETE", one, resources.delete, "delete", "Delete a resource"),
        route("GET", one + "/metrics", resources.metrics, "read", "Measure a resource"),
        route("GET", one + "/logs", logs.get, "logs", "Read or follow a resource's log", tokens=True),
        route("GET", one + "/operations", resources.operations, "read", "List a resource's operations"),
        route("POST", one + "/restore", resources.restore, "restore", "Restore a deleted resource"),
        route("GET", one + "/credentials", resources.credentials, "credentials", "Read a resource's credentials"),
        route("POST", one + "/credentials/rotate", resources.rotate, "credentials", "Rotate a resource's credentials"),
        route("POST", one + "/tokens", resources.token, "operate", "Make a short-lived token"),
        *(
            route(m, one + "/{custom:path}", resources.custom, "", "Use a custom endpoint", tokens=True)
            for m in ("GET", "POST", "PUT", "PATCH", "DELETE")
        ),
    )
