"""Operations: look, list, cancel, retry. A client follows one with `events` or `wait`."""

from __future__ import annotations

from enopax_core.client.ask import Ask, of, page_of, path, present
from enopax_core.client.values import Operation, Page


def show(id: str) -> Ask[Operation]:
    """One operation."""
    return Ask(method="GET", path=path("operations", id), read=of(Operation))


def page(organisation: str, project: str, *, token: str | None = None, size: int = 100) -> Ask[Page[Operation]]:
    """One page of a project's operations, in order of acceptance."""
    params = present(org=organisation, project=project, page_size=str(size), page_token=token)
    return Ask(method="GET", path="/v1/operations", params=params, read=page_of(Operation, "operations"))


def cancel(id: str) -> Ask[Operation]:
    """Cancel one."""
    return Ask(method="POST", path=path("operations", id, "cancel"), read=of(Operation))


def retry(id: str) -> Ask[Operation]:
    """Try a failed one again."""
    return Ask(method="POST", path=path("operations", id, "retry"), read=of(Operation))
