"""`provider.json`: what a folder says of its provider."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, JsonValue, ValidationError

from enopax_core.errors import PluginRefused
from enopax_core.provider import HOOKS, Config, Plan

FILE = "provider.json"
GIVEN = ("id", "resource", "operation", "request", "path")
"""What every script finds in its input beside the shared fields: no configuration may use these names."""

Permission = Literal["read", "create", "update", "delete", "restore", "purge", "operate", "credentials", "logs", "admin"]


class Endpoint(Config):
    """A custom endpoint, answered by the executable of its name."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]*$")
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    path: str = Field(default="", pattern=r"^(/.+)?$")  # empty: the name
    permission: Permission = "operate"
    description: str = ""
    body: Mapping[str, JsonValue] | None = Field(default=None, alias="schema")  # JSON Schema of the body; None: it takes none
    durable: bool = True  # False: answered in the request itself, as GET always is
    retry: bool = True
    destructive: bool = False


class Manifest(Config):
    """The provider itself."""

    name: str = Field(min_length=1)
    endpoint: str
    description: str = ""
    config: Mapping[str, JsonValue] = Field(alias="schema")  # JSON Schema of the configuration
    plans: Sequence[Plan] = ()
    retention_days: float | None = Field(default=None, gt=0)
    name_pattern: str | None = None
    attempts: int = Field(default=5, ge=1)
    timeouts: Mapping[str, float] = {}  # seconds by executable
    custom_endpoints: Sequence[Endpoint] = ()


def read(folder: Path) -> Manifest:
    """The folder's manifest. Raises PluginRefused naming file, key and remedy."""
    file = folder / FILE
    try:
        found: Any = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise PluginRefused(f"{file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise PluginRefused(f"{file} is no JSON: {error}.") from error
    try:
        manifest = Manifest.model_validate(found)
    except ValidationError as error:
        raise PluginRefused(f"{file}: {' '.join(_sentence(fault) for fault in error.errors())}") from error
    for taken in sorted(set(GIVEN) & set(_names(manifest.config))):
        raise PluginRefused(f"{file}: the schema uses {taken}, which every script is given: choose another name.")
    for endpoint in manifest.custom_endpoints:
        for taken in sorted(set(GIVEN) & set(re.findall(r"\{(\w+)\}", endpoint.path))):
            raise PluginRefused(f"{file}: {endpoint.path} uses {taken}, which every script is given: choose another name.")
    names = [endpoint.name for endpoint in manifest.custom_endpoints]
    for name in names:
        if name in HOOKS or names.count(name) > 1:
            raise PluginRefused(f"{file}: the endpoint {name} has the name of a hook or of another endpoint.")
    for name, seconds in manifest.timeouts.items():
        if name not in (*HOOKS, *names) or seconds <= 0:
            raise PluginRefused(f"{file}: timeouts are seconds by the name of an executable, not {name}: {seconds}.")
    return manifest


def _names(schema: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    properties = schema.get("properties", {})
    return properties if isinstance(properties, dict) else {}


def _sentence(fault: Any) -> str:
    at = "".join(f"/{part}" for part in fault["loc"])
    if fault["type"] != "extra_forbidden":
        return f"{at}: {fault['msg']}."
    model = Endpoint if fault["loc"][0] == "customEndpoints" else Manifest
    known = [field.alias or name for name, field in model.model_fields.items()]
    near = difflib.get_close_matches(str(fault["loc"][-1]), known, 1)
    hint = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(known)}."
    return f"{at}: there is no such key. {hint}"
