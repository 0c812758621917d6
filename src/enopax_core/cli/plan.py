"""What a file asks of a project, compared with what exists. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from enopax_core.client import Change, Resource
from enopax_core.errors import EnopaxError, Fault, Invalid

OWN = ("endpoint", "name")
FIELDS = ("organisation", "project", "resources")
SIGNS: Mapping[str, str] = {"create": "+", "update": "~", "delete": "-", "unchanged": "="}
SECRET = "***"  # noqa: S105  # how a server shows a secret


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One resource as a file has it."""

    at: str  # pointer into the file
    endpoint: str
    name: str
    fields: Mapping[str, Any]  # of the request, beside its name and place

    def faults(self, error: EnopaxError) -> list[Fault]:
        """What a server says against it, where it stands in the file."""
        if error.faults:
            return [Fault(f"{self.at}{fault.pointer}", fault.message) for fault in error.faults]
        return [Fault(self.at, error.message)]


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A whole file."""

    organisation: str | None
    project: str | None
    resources: Sequence[Wanted]

    @property
    def endpoints(self) -> set[str]:
        """Providers that the file speaks of."""
        return {wanted.endpoint for wanted in self.resources}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be made, what may have to be changed, and what the file does not know."""

    new: Sequence[Wanted]
    known: Sequence[tuple[Wanted, Resource]]
    extra: Sequence[tuple[str, Resource]]  # with their endpoint


@dataclass(frozen=True, kw_only=True)
class Step:
    """One resource of the preview: what would be done to it, and what is sent for that."""

    action: str  # one of SIGNS
    endpoint: str
    name: str
    id: str | None = None
    etag: str | None = None
    body: Mapping[str, Any] | None = None
    changes: Sequence[Change] = ()
    reason: str = ""


def declared(content: Mapping[str, Any]) -> Declared:
    """Read a file's content. Raises Invalid with every fault at its pointer."""
    faults = [
        Fault(f"/{name}", f"This is not known here; known are {', '.join(FIELDS)}.") for name in content if name not in FIELDS
    ]
    faults += [
        Fault(f"/{name}", "This must be a name.") for name in FIELDS[:2] if not isinstance(content.get(name), (str, type(None)))
    ]
    items = content.get("resources")
    if not isinstance(items, list):
        raise Invalid("The file must list its resources.", faults=[*faults, Fault("/resources", "This must be a list.")])
    seen: set[tuple[str, str]] = set()
    wanted: list[Wanted] = []
    for number, item in enumerate(items):
        at = f"/resources/{number}"
        if not isinstance(item, dict) or not all(isinstance(item.get(name), str) for name in OWN):
            faults.append(Fault(at, "Each resource needs `endpoint` and `name`."))
            continue
        fields = {name: value for name, value in item.items() if name not in OWN}
        one = Wanted(at=at, endpoint=item["endpoint"], name=item["name"], fields=fields)
        if (one.endpoint, one.name) in seen:
            faults.append(Fault(at, f"{one.endpoint} {one.name} stands here twice."))
        seen.add((one.endpoint, one.name))
        wanted.append(one)
    if faults:
        raise Invalid("The file cannot be applied.", faults=faults)
    return Declared(organisation=content.get("organisation"), project=content.get("project"), resources=wanted)


def compared(file: Declared, existing: Iterable[tuple[str, Resource]]) -> Plan:
    """Compare by endpoint and name; what is being deleted is gone, and only endpoints that the file speaks of count as extra."""
    there = {(endpoint, found.name): found for endpoint, found in existing if not is_gone(found)}
    wanted = {(one.endpoint, one.name): one for one in file.resources}
    return Plan(
        new=[one for key, one in wanted.items() if key not in there],
        known=[(one, there[key]) for key, one in wanted.items() if key in there],
        extra=[(key[0], found) for key, found in there.items() if key[0] in file.endpoints and key not in wanted],
    )


def is_gone(resource: Resource) -> bool:
    """Its name is free, and nothing can be changed about it."""
    return resource.status in ("deleting", "deleted")


def changing(wanted: Wanted, found: Resource, changes: Sequence[Change]) -> Step:
    """The step for a resource that exists: it is also sent again where it was asked for and has not come about."""
    behind = [
        f"{one.reason}: {one.message}".strip(": ") for one in found.conditions if (one.type, one.status) == ("Synced", "False")
    ]
    behind += [found.message or "it has failed"] if found.status == "failed" else []
    is_due = bool(changes or behind) and not (found.operation and not changes)
    return Step(
        action="update" if is_due else "unchanged",
        endpoint=wanted.endpoint,
        name=wanted.name,
        id=found.id,
        etag=None if found.operation else found.etag,  # where a change is under way, it looks different anyway
        body=wanted.fields,
        changes=changes,
        reason=behind[0] if behind else "",
    )


def counted(steps: Sequence[Step]) -> str:
    """How many resources each action concerns, in words."""
    words = {"create": "to create", "update": "to update", "delete": "to delete", "unchanged": "unchanged"}
    number = {action: sum(step.action == action for step in steps) for action in words}
    return ", ".join(f"{number[action]} {word}" for action, word in words.items() if number[action]) or "nothing to do"


def exported(endpoint: str, resource: Resource) -> dict[str, Any]:
    """A resource as a file has it: what it was asked to be, without secrets."""
    item: dict[str, Any] = {"endpoint": endpoint, "name": resource.name}
    if resource.plan:
        item["plan"] = resource.plan
    if resource.ssh_keys:
        item["sshKeys"] = list(resource.ssh_keys)
    kept = {name: _without_secrets(value) for name, value in resource.config.items() if value not in (None, SECRET)}
    return {**item, **kept}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_secrets(part) for name, part in value.items() if part != SECRET}
    if isinstance(value, (list, tuple)):
        return [_without_secrets(part) for part in value if part != SECRET]
    return value
