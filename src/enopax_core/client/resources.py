"""Resources: provision, look, list, change, delete, restore, measure, their secrets, and what a provider adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from enopax_core.client.ask import Ask, Reply, each, of, page_of, path, present, within
from enopax_core.client.values import (
    Called,
    Change,
    Deletion,
    LogLine,
    Metric,
    Operation,
    Page,
    Preview,
    Resource,
    Secrets,
    Token,
)

DRY = {"dry_run": "true"}
ACCEPTED = 202  # and not done yet


def provision(endpoint: str, body: Mapping[str, Any], *, wait: int | None = None) -> Ask[Resource]:
    """Make a resource. `wait`: seconds that the answer may take (0: none, None: as the server likes)."""
    return Ask(method="POST", path=path(endpoint), body=body, headers=_headers(wait), read=_resource)


def preview_provision(endpoint: str, body: Mapping[str, Any]) -> Ask[Preview]:
    """What provisioning would do."""
    return Ask(method="POST", path=path(endpoint), params=DRY, body=body, read=within(Preview, "preview"))


def show(endpoint: str, id: str) -> Ask[Resource]:
    """One resource."""
    return Ask(method="GET", path=path(endpoint, id), read=_resource)


def page(
    endpoint: str, organisation: str, project: str, *, status: str | None = None, token: str | None = None, size: int = 100
) -> Ask[Page[Resource]]:
    """One page of a project's resources."""
    params = present(org=organisation, project=project, page_size=str(size), status=status, page_token=token)
    return Ask(method="GET", path=path(endpoint), params=params, read=page_of(Resource, "resources"))


def update(endpoint: str, id: str, body: Mapping[str, Any], *, wait: int | None = None, etag: str | None = None) -> Ask[Resource]:
    """Change a resource; a partial body is enough. `etag`: only if it is still what was seen (else PreconditionFailed)."""
    return Ask(method="PATCH", path=path(endpoint, id), body=body, headers=_headers(wait, etag), read=_resource)


def preview_update(endpoint: str, id: str, body: Mapping[str, Any]) -> Ask[Sequence[Change]]:
    """What an update would change, field by field."""
    return Ask(method="PATCH", path=path(endpoint, id), params=DRY, body=body, read=each(Change, "changes"))


def delete(endpoint: str, id: str, *, purge: bool = False, wait: int | None = None, etag: str | None = None) -> Ask[Deletion]:
    """Take a resource out of service; with `purge` for good."""
    params = {"purge": "true"} if purge else {}
    return Ask(method="DELETE", path=path(endpoint, id), params=params, headers=_headers(wait, etag), read=of(Deletion))


def restore(endpoint: str, id: str, *, wait: int | None = None) -> Ask[Resource]:
    """Bring a deleted resource back."""
    return Ask(method="POST", path=path(endpoint, id, "restore"), headers=_headers(wait), read=_resource)


def metrics(endpoint: str, id: str) -> Ask[Mapping[str, Metric]]:
    """Measure a resource now; by name."""

    def read(reply: Reply) -> Mapping[str, Metric]:
        return {name: Metric.model_validate(found) for name, found in reply.body["metrics"].items()}

    return Ask(method="GET", path=path(endpoint, id, "metrics"), read=read)


def logs(endpoint: str, id: str) -> Ask[Sequence[LogLine]]:
    """The latest lines of a resource's log."""
    return Ask(method="GET", path=path(endpoint, id, "logs"), read=each(LogLine, "lines"))


def operations(endpoint: str, id: str, *, token: str | None = None, size: int = 100) -> Ask[Page[Operation]]:
    """One page of a resource's operations."""
    params = present(page_size=str(size), page_token=token)
    return Ask(method="GET", path=path(endpoint, id, "operations"), params=params, read=page_of(Operation, "operations"))


def credentials(endpoint: str, id: str) -> Ask[Mapping[str, Any]]:
    """A resource's secrets; the reading is audited."""
    return Ask(method="GET", path=path(endpoint, id, "credentials"), read=lambda reply: reply.body["credentials"])


def rotate(endpoint: str, id: str, *, wait: int | None = None) -> Ask[Secrets]:
    """New secrets; the old ones stop working."""
    return Ask(method="POST", path=path(endpoint, id, "credentials", "rotate"), headers=_headers(wait), read=of(Secrets))


def token(endpoint: str, id: str) -> Ask[Token]:
    """A short-lived token for the resource's custom endpoints and event streams."""
    return Ask(method="POST", path=path(endpoint, id, "tokens"), read=of(Token))


def custom(
    endpoint: str, id: str, method: str, segments: Sequence[str], body: Any = None, *, wait: int | None = None
) -> Ask[Called]:
    """A custom endpoint of the provider; `segments`: its path below the resource, such as `["repack"]`."""

    def read(reply: Reply) -> Called:
        if reply.status == ACCEPTED:
            return Called(operation=reply.body["operation"])
        return Called(body={name: value for name, value in reply.body.items() if name not in ("success", "operation")})

    return Ask(method=method, path=path(endpoint, id, *segments), body=body, headers=_headers(wait), read=read)


def _headers(wait: int | None, etag: str | None = None) -> Mapping[str, str]:
    prefer = None if wait is None else "respond-async" if wait == 0 else f"wait={wait}"
    return {name: value for name, value in (("Prefer", prefer), ("If-Match", etag)) if value is not None}


def _resource(reply: Reply) -> Resource:
    return Resource.model_validate({**reply.body, "etag": reply.headers.get("etag")})
