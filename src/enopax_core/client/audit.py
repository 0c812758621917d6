"""Who did what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from enopax_core.client.ask import Ask, Reply, present


def page(
    organisation: str,
    project: str,
    *,
    action: str | None = None,
    principal: str | None = None,
    resource: str | None = None,
    since: str | None = None,
    token: str | None = None,
) -> Ask[tuple[Sequence[Mapping[str, Any]], str | None]]:
    """One page of a project's audit log, oldest first, and the token of the following one. `since`: RFC 3339."""
    params = present(
        org=organisation,
        project=project,
        action=action,
        principal=principal,
        resource=resource,
        since=since,
        page_token=token,
        page_size="1000",
    )
    return Ask(method="GET", path="/v1/audit", params=params, read=_read)


def verify(*, anchor: str | None = None) -> Ask[Mapping[str, Any]]:
    """Whether the installation's audit log is what was written: `intact`, `entries`, `unchained`, `anchor`, `breaks`."""
    return Ask(method="GET", path="/v1/admin/audit/verify", params=present(anchor=anchor), read=lambda reply: reply.body)


def _read(reply: Reply) -> tuple[Sequence[Mapping[str, Any]], str | None]:
    return reply.body["entries"], reply.body.get("nextPageToken")
