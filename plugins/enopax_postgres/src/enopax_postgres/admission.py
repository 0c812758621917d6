"""What is refused before a change is accepted: what the schema cannot know, because it depends on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from enopax_core import Change, ResourceRecord
from enopax_core.errors import Fault
from enopax_core.provider import Plan
from enopax_postgres.config import FIXED
from enopax_postgres.installations import Installation, Installations

FITS = 0.8
"""Share of a smaller plan's disk that may be taken already: no more than nobody would be warned of there."""
NEEDS_ICU = "This PostgreSQL is built without ICU: only C.UTF-8 and C are possible."


def faults(
    change: Change,
    installations: Installations,
    plans: Sequence[Plan],
    origin: ResourceRecord | None,
    used: Callable[[str], int],
    major: Callable[[str], int | None],
) -> list[Fault]:
    """Everything that is wrong with a change of a database.

    `origin` is the resource that `recoverFrom` names; `used` tells the bytes that count against a database's disk, `major`
    the version that it has.
    """
    after = change.after
    if after is None:
        return []
    if after.config["synchronous"] and not _has_replica(after, plans):
        return [Fault("/synchronous", "This plan has no replica that a commit could wait for.")]
    if change.before is not None:
        return [
            *_fixed(change.before.config, after.config),
            *_shrinking(change.before, after, plans, used),
            *_upgraded(change.before, after, installations, major),
        ]
    if after.config.get("recoverFrom") is not None:
        return _origin(after, origin)
    return _new(after.config, installations)


def _new(config: Mapping[str, Any], installations: Installations) -> list[Fault]:
    version, known = config["version"], installations.by_major
    if version != "default" and int(version) not in known:
        have = ", ".join(map(str, known)) or "none"
        return [Fault("/version", f"This version is not installed here; there is {have}.")]
    installation = installations.get(version)
    found = _lacking(config, installation)
    if config["locale"] not in ("C", "C.UTF-8") and not installation.icu:
        found.append(Fault("/locale", NEEDS_ICU))
    return found


def _lacking(config: Mapping[str, Any], installation: Installation) -> list[Fault]:
    missing = set(config["extensions"]) - installation.extensions()
    return [
        Fault(f"/extensions/{number}", f"PostgreSQL {installation.major} has no extension {name} here.")
        for number, name in enumerate(config["extensions"])
        if name in missing
    ]


def _origin(after: ResourceRecord, origin: ResourceRecord | None) -> list[Fault]:
    """Another project's database does not exist for this one."""
    if origin is None or (origin.endpoint, origin.project) != (after.endpoint, after.project) or not origin.has_backend:
        return [Fault("/recoverFrom/resource", "There is no such database in this project.")]
    if origin.config["database"] != after.config["database"]:
        return [Fault("/database", f"The database that is recovered is called {origin.config['database']}.")]
    return []


def _fixed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Fault]:
    return [
        Fault(f"/{name}", "This stays as it was when the database was created.")
        for name in FIXED
        if before.get(name) != after.get(name)
    ]


def _upgraded(
    before: ResourceRecord, after: ResourceRecord, installations: Installations, major: Callable[[str], int | None]
) -> list[Fault]:
    """The way is up, and to what is installed."""
    version, now = after.config["version"], major(before.id)
    if version in ("default", before.config["version"]):
        here = installations.by_major.get(now or 0)
        return [] if here is None else _lacking(after.config, here)
    if now is not None and int(version) < now:
        return [Fault("/version", f"This is PostgreSQL {now} already, and there is no way back.")]
    return _new(after.config, installations)


def _shrinking(before: ResourceRecord, after: ResourceRecord, plans: Sequence[Plan], used: Callable[[str], int]) -> list[Fault]:
    """The disk of the smaller plan may be too small for what is there already."""
    disks = {plan.id: plan.limits["diskBytes"] for plan in plans}
    new = disks.get(after.plan or "", 0)
    if new < disks.get(before.plan or "", 0) and (share := used(before.id) / new) > FITS:  # measured where it matters alone
        return [Fault("/plan", f"This would take {share:.0%} of the smaller plan's disk: remove something first.")]
    return []


def _has_replica(after: ResourceRecord, plans: Sequence[Plan]) -> bool:
    return any(plan.id == after.plan and plan.limits.get("replicas") for plan in plans)
