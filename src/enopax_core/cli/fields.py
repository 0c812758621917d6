"""From a provider's JSON Schema to options of the command line, and back to a request's body."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from enopax_core.cli.source import text_of
from enopax_core.errors import Fault, Invalid

SHARED = frozenset({"name", "organisationName", "projectName", "userId", "sshKeys", "plan"})  # of every request
TAKEN = frozenset(  # options of the commands themselves
    {"profile", "data-dir", "org", "project", "output", "ssh-key", "from", "dry-run", "no-wait", "yes", "help"}
)
TYPES: Mapping[str, click.ParamType[Any]] = {"integer": click.INT, "number": click.FLOAT, "string": click.STRING}
PUBLIC_KEYS = ("ssh-", "ecdsa-", "sk-")  # how a line with a public key begins


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a provider's request."""

    name: str
    schema: Mapping[str, Any]  # of the field, references followed
    required: bool

    @property
    def flag(self) -> str:
        """Its option, without the dashes in front."""
        kebab = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "-", self.name).lower()
        return f"field-{kebab}" if kebab in TAKEN or (self.type == "boolean" and f"no-{kebab}" in TAKEN) else kebab

    @property
    def parameter(self) -> str:
        """How its value is called among a command's arguments: none of them is a word of the command's own."""
        return f"field_{re.sub('[^a-z0-9]', '_', self.flag)}"

    @property
    def type(self) -> str:
        """JSON type; empty where there is no single one."""
        return str(self.schema.get("type", ""))

    @property
    def is_secret(self) -> bool:
        """Read from a file: what stands on a command line can be seen by others."""
        return self.type == "string" and bool(self.schema.get("writeOnly"))

    @property
    def items(self) -> click.ParamType[Any] | None:
        """Of a list of simple values: the option is given once for each."""
        return TYPES.get(str(self.schema.get("items", {}).get("type"))) if self.type == "array" else None

    def option(self, *, defaults: bool) -> click.Option:
        """The option, with its type, choices and help."""
        flag, help_ = f"--{self.flag}", self._help(defaults)
        if self.type == "boolean":
            return click.Option([f"{flag}/--no-{self.flag}", self.parameter], default=None, help=help_)
        if self.is_secret:
            return click.Option([flag, self.parameter], metavar="FILE", help=f"{help_} (a file that holds it; -: standard input)")
        if self.schema.get("enum") and self.type in TYPES:
            return click.Option([flag, self.parameter], type=click.Choice(list(self.schema["enum"])), help=help_)
        if self.items is not None:
            return click.Option([flag, self.parameter], type=self.items, multiple=True, help=f"{help_} (may be repeated)")
        if self.type in TYPES:
            return click.Option([flag, self.parameter], type=TYPES[self.type], help=help_)
        return click.Option([flag, self.parameter], metavar="JSON", help=help_)

    def value(self, given: Any) -> Any:
        """What a request holds. Raises Invalid for text that is no JSON."""
        if self.is_secret:
            return text_of(Path(given)).rstrip("\r\n")
        if self.items is not None:
            return list(given)
        if self.type in TYPES or self.type == "boolean":
            return given
        try:
            return json.loads(given)
        except ValueError as error:
            raise Invalid(f"--{self.flag} takes JSON.", faults=[Fault(f"/{self.name}", "This is not valid JSON.")]) from error

    def _help(self, defaults: bool) -> str:
        default = self.schema.get("default")
        if not defaults:
            note = ""
        elif self.required:
            note = "[required]"
        else:
            note = f"[{_shown(default)}]" if default not in (None, "", [], {}) else ""
        return f"{self.schema.get('description') or self.schema.get('title') or ''} {note}".strip()


def fields_of(schema: Mapping[str, Any], shared: frozenset[str] = SHARED) -> list[Field]:
    """The fields of the provider's own, in the order of the schema. `shared`: those that are not."""
    required = schema.get("required", ())
    return [
        Field(name=name, schema=_resolved(schema, field), required=name in required)
        for name, field in schema.get("properties", {}).items()
        if name not in shared
    ]


def options_of(schema: Mapping[str, Any], *, defaults: bool = True, shared: frozenset[str] = SHARED) -> list[click.Option]:
    """An option for each field. `defaults`: whether what is not given takes its default (an update leaves it as it is)."""
    return [field.option(defaults=defaults) for field in fields_of(schema, shared)]


def body_of(schema: Mapping[str, Any], given: Mapping[str, Any], *, shared: frozenset[str] = SHARED) -> dict[str, Any]:
    """The fields that were given, as the schema names and types them. Raises Invalid for text that is no JSON."""
    return {
        field.name: field.value(given[field.parameter])
        for field in fields_of(schema, shared)
        if given.get(field.parameter) not in (None, ())
    }


def keys_of(given: tuple[str, ...]) -> list[str]:
    """Public keys: out of files, or given themselves. Raises Invalid for what is none, a private key above all."""
    found = []
    for one in given:
        lines = (
            [one]
            if one.startswith(PUBLIC_KEYS) and " " in one
            else Path(one).expanduser().read_text("utf-8", "replace").splitlines()
        )
        keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not keys or not all(key.startswith(PUBLIC_KEYS) for key in keys):
            hint = "it is a private one; give the file ending in .pub" if "PRIVATE KEY" in "".join(lines[:1]) else "it holds none"
            raise Invalid(f"--ssh-key takes an OpenSSH public key or a file of them, and not {one}: {hint}.")
        found += keys
    return found


def _shown(default: Any) -> str:
    """A default as one would type it."""
    if isinstance(default, list):
        return ", ".join(_shown(one) for one in default)
    return default if isinstance(default, str) else json.dumps(default, ensure_ascii=False)


def _resolved(schema: Mapping[str, Any], field: Mapping[str, Any]) -> Mapping[str, Any]:
    """A field's schema with its reference followed, and null left out where it may be null: nothing given stands for that."""
    for _ in range(10):  # references may be circular
        if isinstance(field.get("type"), list):
            kinds = [kind for kind in field["type"] if kind != "null"]
            return {**field, "type": kinds[0] if len(kinds) == 1 else ""}
        reference = str(field.get("$ref", ""))
        options = [one for one in field.get("anyOf") or field.get("oneOf") or () if one.get("type") != "null"]
        if reference.startswith("#/$defs/"):
            target: Mapping[str, Any] = schema.get("$defs", {}).get(reference.removeprefix("#/$defs/"), {})
        elif len(options) == 1:
            target = options[0]
        else:
            break
        field = {**target, **{name: value for name, value in field.items() if name not in ("$ref", "anyOf", "oneOf")}}
    return field
