"""The flat request body of a provider: shared fields and the provider's own beside each other, published and checked."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from enopax_core.errors import Fault, Invalid
from enopax_core.provider.config import DIALECT, Checker
from enopax_core.provider.values import Plan
from enopax_core.registry import ENVELOPE, Registered

DEFAULT_PROJECT = "Default Project"
NAME = {
    "type": "string",
    "minLength": 1,
    "maxLength": 100,
    "title": "Name",
    "description": "Unique among the live resources of this kind in the project.",
}
SHARED: Mapping[str, Mapping[str, Any]] = {
    "name": NAME,
    "organisationName": {**NAME, "title": "Organisation", "description": "Comes into being with its first resource."},
    "projectName": {
        **NAME,
        "title": "Project",
        "description": "Comes into being with its first resource.",
        "default": DEFAULT_PROJECT,
    },
    "userId": {
        "type": "string",
        "minLength": 1,
        "maxLength": 200,
        "title": "User",
        "description": "For whom, at the client's side.",
    },
    "sshKeys": {
        "type": "array",
        "maxItems": 200,
        "items": {"type": "string", "minLength": 1, "maxLength": 16384},
        "title": "SSH keys",
        "description": "OpenSSH public keys that may reach the resource.",
        "default": [],
    },
}
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Request:
    """A checked body, taken apart."""

    name: str | None
    organisation: str | None
    project: str | None
    user_id: str | None
    ssh_keys: tuple[str, ...] | None
    plan: Plan | None
    config: Mapping[str, Any]  # what was sent of it, with the plan's preset underneath for a new resource


class Schemas:
    """Published schemas of one provider, and the check against them."""

    def __init__(self, registered: Registered) -> None:
        self._registered = registered
        shared = {name: dict(schema) for name, schema in SHARED.items()}
        if registered.provider.name_pattern:
            shared["name"]["pattern"] = registered.provider.name_pattern
        if registered.plans:
            ids = list(registered.plans)
            shared["plan"] = {"type": "string", "enum": ids, "default": ids[0], "title": "Plan"}
        config = dict(registered.configuration.schema)
        title = {"$schema": DIALECT, "title": registered.provider.name}
        properties = {**shared, **config["properties"]}
        required = ["name", "organisationName", *config.get("required", [])]
        self.provision: Mapping[str, Any] = {**config, **title, "properties": properties, "required": required}
        self.update: Mapping[str, Any] | None = None
        if registered.has("update"):
            kept = {name: value for name, value in config.items() if name != "required"}
            self.update = {**kept, **title, "properties": properties, "minProperties": 0}
        optional = {n for plan in registered.plans.values() for n in plan.preset} & set(required)
        self._new = Checker({**self.provision, "required": [name for name in required if name not in optional]})
        self._change = Checker(self.update or {"type": "object"})

    def new(self, body: Mapping[str, Any]) -> Request:
        """Check the body of POST. Raises Invalid with every fault at its pointer."""
        return self._take_apart(body, self._new, new=True)

    def change(self, body: Mapping[str, Any]) -> Request:
        """Check the partial body of PUT or PATCH. Raises Invalid with every fault at its pointer."""
        return self._take_apart(body, self._change, new=False)

    def whole(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Check a whole configuration and fill in its defaults. Raises Invalid."""
        wire, faults = self._registered.configuration.parse(config)
        if faults:
            raise Invalid(faults=faults)
        return wire

    def _take_apart(self, body: Mapping[str, Any], checker: Checker, *, new: bool) -> Request:
        faults = [*checker.faults(body), *_beyond_schema(body)]
        if faults:
            raise Invalid(faults=list(dict.fromkeys(faults)))
        plans = self._registered.plans
        plan = plans.get(body["plan"]) if "plan" in body else None
        if new and plan is None and plans:
            plan = next(iter(plans.values()))
        config = {name: value for name, value in body.items() if name not in ENVELOPE}
        keys = body.get("sshKeys", [] if new else None)
        return Request(
            name=body.get("name"),
            organisation=body.get("organisationName"),
            project=body.get("projectName", DEFAULT_PROJECT if new else None),
            user_id=body.get("userId"),
            ssh_keys=None if keys is None else tuple(dict.fromkeys(key.strip() for key in keys)),
            plan=plan,
            config={**plan.preset, **config} if new and plan is not None else config,
        )


def _beyond_schema(body: Mapping[str, Any]) -> list[Fault]:
    """What JSON Schema cannot say: control characters, lone surrogates, public keys that are none."""
    faults = []
    for field in ("name", "organisationName", "projectName", "userId"):
        value = body.get(field)
        if isinstance(value, str) and CONTROL.search(value):
            faults.append(Fault(f"/{field}", "Control characters and lone surrogates are not allowed."))
        elif isinstance(value, str) and value and not value.strip():
            faults.append(Fault(f"/{field}", "This must not be blank."))
    keys = body.get("sshKeys")
    for number, key in enumerate(keys if isinstance(keys, list) else ()):
        if isinstance(key, str) and key and not is_public_key(key):
            faults.append(Fault(f"/sshKeys/{number}", "This is not an OpenSSH public key (such as `ssh-ed25519 AAAA… name`)."))
    return faults


def is_public_key(text: str) -> bool:
    """Whether a line is an OpenSSH public key: its type stands again at the beginning of the blob (RFC 4253, 6.6)."""
    parts = text.split(None, 2)
    if len(parts) < 2 or CONTROL.search(text.strip()):
        return False
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (binascii.Error, ValueError):
        return False
    size = int.from_bytes(blob[:4], "big")
    return len(blob) > 4 + size > 4 and blob[4 : 4 + size] == parts[0].encode()
