"""Who did what."""

from __future__ import annotations

from enopax_core.client.ask import Ask, of, page_of, present
from enopax_core.client.values import Entry, Page, Verification


def page(
    organisation: str,
    project: str,
    *,
    action: str | None = None,
    principal: str | None = None,
    resource: str | None = None,
    since: str | None = None,
    token: str | None = None,
) -> Ask[Page[Entry]]:
    """One page of a project's audit log, oldest first. `since`: RFC 3339."""
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
    return Ask(method="GET", path="/v1/audit", params=params, read=page_of(Entry, "entries"))


def verify(*, anchor: str | None = None) -> Ask[Verification]:
    """Whether the installation's audit log is what was written."""
    return Ask(method="GET", path="/v1/admin/audit/verify", params=present(anchor=anchor), read=of(Verification))
