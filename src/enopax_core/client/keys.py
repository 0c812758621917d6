"""API keys: create, list, rotate, revoke."""

from __future__ import annotations

from collections.abc import Sequence

from enopax_core.client.ask import Ask, Reply, of, page_of, path, present
from enopax_core.client.values import Key, Page


def create(
    name: str,
    role: str,
    *,
    organisation: str | None = None,
    project: str | None = None,
    permissions: Sequence[str] | None = None,
    expires_at: str | None = None,
) -> Ask[Key]:
    """Make a key; its secret is in this answer alone. `expires_at` is RFC 3339."""
    body = present(
        name=name,
        role=role,
        organisation=organisation,
        project=project,
        permissions=None if permissions is None else list(permissions),
        expiresAt=expires_at,
    )
    return Ask(method="POST", path="/v1/keys", body=body, read=of(Key))


def page(*, token: str | None = None) -> Ask[Page[Key]]:
    """One page of the keys within the caller's scope."""
    return Ask(method="GET", path="/v1/keys", params=present(page_token=token), read=page_of(Key, "keys"))


def rotate(id: str) -> Ask[Key]:
    """A new secret; the old one is void at once."""
    return Ask(method="POST", path=path("keys", id, "rotate"), read=of(Key))


def revoke(id: str) -> Ask[None]:
    """Make a key void."""
    return Ask(method="DELETE", path=path("keys", id), read=_nothing)


def _nothing(_: Reply) -> None:
    return None
