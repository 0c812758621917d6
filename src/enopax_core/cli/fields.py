"""From a provider's JSON Schema to options of the command line, and back to a request's body."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from enopax_core.errors import Fault, Invalid

SHARED = frozenset({"name", "organisationName", "projectName", "userId", "sshKeys", "plan"})
KEYS = ("ssh-", "ecdsa-", "sk-")  # how a public key begins
TYPES: Mapping[str, click.ParamType[Any]] = {"integer": click.INT, "number": click.FLOAT, "string": click.STRING}


def options_of(schema: Mapping[str, Any]) -> list[click.Option]:
    """An option for each field of the provider's own, with its type, choices and help."""
    return [_option(name, field) for name, field in schema.get("properties", {}).items() if name not in SHARED]


def body_of(schema: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that were given, as the schema names and types them. Raises Invalid for text that is no JSON."""
    body = {}
    for name, field in schema.get("properties", {}).items():
        value = given.get(parameter_of(name))
        if value is None:
            continue
        body[name] = value if _is_simple(field) else _parsed(name, str(value))
    return body


def keys_of(given: tuple[str, ...]) -> list[str]:
    """Public keys: files, or the keys themselves."""
    return [one if one.startswith(KEYS) else Path(one).expanduser().read_text("utf-8").strip() for one in given]


def parameter_of(name: str) -> str:
    """How a field's value is called among a command's arguments: none of them is a word of the command's own."""
    return f"field_{re.sub('[^a-z0-9]', '_', _kebab(name))}"


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", "-", name).lower()


def _is_simple(field: Mapping[str, Any]) -> bool:
    return field.get("type") in (*TYPES, "boolean")


def _option(name: str, field: Mapping[str, Any]) -> click.Option:
    flag = f"--{_kebab(name)}"
    default = f" [{json.dumps(field['default'], ensure_ascii=False)}]" if field.get("default") not in (None, "") else ""
    text = f"{field.get('description', field.get('title', ''))}{default}"
    if field.get("type") == "boolean":
        return click.Option([f"{flag}/--no-{_kebab(name)}", parameter_of(name)], default=None, help=text)
    kind: click.ParamType[Any] = TYPES.get(str(field.get("type")), click.STRING)
    if field.get("type") == "string" and field.get("enum"):
        kind = click.Choice([str(choice) for choice in field["enum"]])
    metavar = None if _is_simple(field) else "JSON"
    return click.Option([flag, parameter_of(name)], type=kind, help=text, metavar=metavar)


def _parsed(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Invalid(f"--{_kebab(name)} takes JSON.", faults=[Fault(f"/{name}", "This is not valid JSON.")]) from error
