"""Roles and what they may do. Default deny between organisations: a target outside the scope is never allowed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from enopax_core.hooks import Host
from enopax_core.provider.spec import hookimpl
from enopax_core.records.place import Target
from enopax_core.records.principal import Principal

ROLES = ("member", "manager", "admin", "owner")
"""From the narrowest to the widest; each holds what those before it hold."""

GRANTED: Mapping[str, frozenset[str]] = {
    "member": frozenset({"read", "create", "update", "delete", "restore", "operate", "credentials", "logs"}),
    "manager": frozenset({"keys"}),
    "admin": frozenset({"purge", "audit"}),
    "owner": frozenset({"admin"}),
}


def permissions_of(role: str, declared: Mapping[str, Collection[str]]) -> frozenset[str]:
    """Everything a role may do, with the permissions that plugins declare for it."""
    held: set[str] = set()
    for name in ROLES[: ROLES.index(role) + 1]:
        held |= GRANTED[name]
        held |= {permission for permission, roles in declared.items() if name in roles}
    return frozenset(held)


def rank(role: str) -> int:
    """Place of a role from the narrowest on; raises ValueError for an unknown one."""
    return ROLES.index(role)


@hookimpl
async def enopax_authorise(
    host: Host, principal: Principal, permission: str, targets: Sequence[Target]
) -> Mapping[Target, bool] | None:
    """Judge by role, narrower permissions and scope."""
    if principal.kind == "system":
        return dict.fromkeys(targets, True)
    allowed = principal.role is None and principal.permissions is not None
    if principal.role is not None:
        allowed = permission in permissions_of(principal.role, host.declared_permissions)
    if principal.permissions is not None:
        allowed = allowed and permission in principal.permissions
    return {target: allowed and _reaches(principal, target) for target in targets}


def _reaches(principal: Principal, target: Target) -> bool:
    if principal.resources is not None:
        return target.resource in principal.resources
    if principal.organisation is not None and target.organisation != principal.organisation:
        return False
    return principal.project is None or target.project == principal.project
