"""Who did what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from enopax_core.client.ask import Ask, Reply, present


def page(organisation: str, project: str, *, token: str | None = None) -> Ask[tuple[Sequence[Mapping[str, Any]], str | None]]:
    """One page of a project's audit log, oldest first, and the token of the following one."""
    params = present(org=organisation, project=project, page_token=token)
    return Ask(method="GET", path="/v1/audit", params=params, read=_read)


def _read(reply: Reply) -> tuple[Sequence[Mapping[str, Any]], str | None]:
    return reply.body["entries"], reply.body.get("nextPageToken")
