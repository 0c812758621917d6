"""Resources: provision, look, list, change, delete, restore, measure, and their secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from enopax_core.client.ask import Ask, of, page_of, present
from enopax_core.client.values import Operation, Page, Resource

ASYNC = {"Prefer": "respond-async"}


def provision(endpoint: str, body: Mapping[str, Any], *, wait: int | None = None) -> Ask[Resource]:
    """Make a resource. `wait`: seconds that the answer may take (0: none, None: as the server likes)."""
    return Ask(method="POST", path=f"/v1/{endpoint}", body=body, headers=_prefer(wait), read=of(Resource))


def preview_provision(endpoint: str, body: Mapping[str, Any]) -> Ask[Mapping[str, Any]]:
    """What provisioning would do: `config`, `actions`, `price`."""
    return Ask(method="POST", path=f"/v1/{endpoint}", params=DRY, body=body, read=lambda answer: answer["preview"])


def show(endpoint: str, id: str) -> Ask[Resource]:
    """One resource."""
    return Ask(method="GET", path=f"/v1/{endpoint}/{id}", read=of(Resource))


def page(
    endpoint: str, organisation: str, project: str, *, status: str | None = None, token: str | None = None, size: int = 100
) -> Ask[Page[Resource]]:
    """One page of a project's resources."""
    params = present(org=organisation, project=project, page_size=str(size), status=status, page_token=token)
    return Ask(method="GET", path=f"/v1/{endpoint}", params=params, read=page_of(Resource, "resources"))


def update(endpoint: str, id: str, body: Mapping[str, Any], *, wait: int | None = None) -> Ask[Resource]:
    """Change a resource; a partial body is enough."""
    return Ask(method="PATCH", path=f"/v1/{endpoint}/{id}", body=body, headers=_prefer(wait), read=of(Resource))


def preview_update(endpoint: str, id: str, body: Mapping[str, Any]) -> Ask[Sequence[Mapping[str, Any]]]:
    """What an update would change: `pointer`, `old`, `new`, `effect` of each field."""
    return Ask(method="PATCH", path=f"/v1/{endpoint}/{id}", params=DRY, body=body, read=lambda answer: answer["changes"])


def delete(endpoint: str, id: str, *, purge: bool = False, wait: int | None = None) -> Ask[Mapping[str, Any]]:
    """Take a resource out of service; with `purge` for good."""
    params = {"purge": "true"} if purge else {}
    return Ask(method="DELETE", path=f"/v1/{endpoint}/{id}", params=params, headers=_prefer(wait), read=_whole)


def restore(endpoint: str, id: str, *, wait: int | None = None) -> Ask[Resource]:
    """Bring a deleted resource back."""
    return Ask(method="POST", path=f"/v1/{endpoint}/{id}/restore", headers=_prefer(wait), read=of(Resource))


def metrics(endpoint: str, id: str) -> Ask[Mapping[str, Mapping[str, Any]]]:
    """Measure a resource: `value`, `unit` and `help` by name."""
    return Ask(method="GET", path=f"/v1/{endpoint}/{id}/metrics", read=lambda answer: answer["metrics"])


def logs(endpoint: str, id: str) -> Ask[Sequence[Mapping[str, str]]]:
    """The latest lines of a resource's log: `time`, `level`, `message`."""
    return Ask(method="GET", path=f"/v1/{endpoint}/{id}/logs", read=lambda answer: answer["lines"])


def credentials(endpoint: str, id: str) -> Ask[Mapping[str, Any]]:
    """A resource's secrets; the reading is audited."""
    return Ask(method="GET", path=f"/v1/{endpoint}/{id}/credentials", read=lambda answer: answer["credentials"])


def rotate(endpoint: str, id: str) -> Ask[Mapping[str, Any]]:
    """New secrets; the old ones stop working."""
    return Ask(
        method="POST", path=f"/v1/{endpoint}/{id}/credentials/rotate", read=lambda answer: answer.get("credentials", answer)
    )


def operations(endpoint: str, id: str) -> Ask[Page[Operation]]:
    """A resource's operations."""
    return Ask(method="GET", path=f"/v1/{endpoint}/{id}/operations", read=page_of(Operation, "operations"))


DRY = {"dry_run": "true"}


def _prefer(wait: int | None) -> Mapping[str, str]:
    return {} if wait is None else ASYNC if wait == 0 else {"Prefer": f"wait={wait}"}


def _whole(body: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = body
    return found
