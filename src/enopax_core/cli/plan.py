"""What a file asks of a project, compared with what exists. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from enopax_core.client import Resource
from enopax_core.errors import Fault, Invalid

OWN = ("endpoint", "name")
FIELDS = ("organisation", "project", "resources")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One resource as a file has it."""

    endpoint: str
    name: str
    fields: Mapping[str, Any]  # of the request, beside its name and place


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


def declared(content: Mapping[str, Any]) -> Declared:
    """Read a file's content. Raises Invalid with every fault at its pointer."""
    faults = [
        Fault(f"/{name}", f"This is not known here; known are {', '.join(FIELDS)}.") for name in content if name not in FIELDS
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
        one = Wanted(endpoint=item["endpoint"], name=item["name"], fields={k: v for k, v in item.items() if k not in OWN})
        if (one.endpoint, one.name) in seen:
            faults.append(Fault(at, f"{one.endpoint} {one.name} stands here twice."))
        seen.add((one.endpoint, one.name))
        wanted.append(one)
    if faults:
        raise Invalid("The file cannot be applied.", faults=faults)
    return Declared(organisation=content.get("organisation"), project=content.get("project"), resources=wanted)


def compared(file: Declared, existing: Iterable[tuple[str, Resource]]) -> Plan:
    """Compare by endpoint and name; only endpoints that the file speaks of count as extra."""
    there = {(endpoint, found.name): found for endpoint, found in existing}
    return Plan(
        new=[one for one in file.resources if (one.endpoint, one.name) not in there],
        known=[(one, there[one.endpoint, one.name]) for one in file.resources if (one.endpoint, one.name) in there],
        extra=[
            (endpoint, found)
            for (endpoint, name), found in there.items()
            if endpoint in file.endpoints and (endpoint, name) not in {(one.endpoint, one.name) for one in file.resources}
        ],
    )


def exported(endpoint: str, resource: Resource, secrets: Iterable[str]) -> dict[str, Any]:
    """A resource as a file has it: what it was asked to be, without secrets."""
    hidden = set(secrets)
    item: dict[str, Any] = {"endpoint": endpoint, "name": resource.name}
    if resource.plan:
        item["plan"] = resource.plan
    if resource.ssh_keys:
        item["sshKeys"] = list(resource.ssh_keys)
    return {**item, **{name: value for name, value in resource.config.items() if name not in hidden and value is not None}}
