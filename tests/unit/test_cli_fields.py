"""Options drawn from a provider's JSON Schema, and the request they make."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from enopax_core.cli.fields import TAKEN, body_of, keys_of, options_of
from enopax_core.cli.provision import provision, update
from enopax_core.client import Provider
from enopax_core.errors import Invalid

SCHEMA: dict[str, Any] = {
    "required": ["name", "maxSize"],
    "properties": {
        "name": {"type": "string"},
        "maxSize": {"type": "integer", "description": "How large."},
        "colour": {"type": "string", "default": "red", "description": "Of what."},
        "on": {"type": "boolean"},
        "kind": {"type": "string", "enum": ["a", "b"]},
        "level": {"type": "integer", "enum": [1, 2]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "parts": {"type": "array", "items": {"type": "object"}},
        "output": {"type": "string"},
        "wait": {"type": "boolean"},
        "password": {"type": "string", "writeOnly": True},
        "limit": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
        "size": {"type": ["integer", "null"]},
        "shape": {"$ref": "#/$defs/Shape", "description": "How it looks."},
        "whatever": {},
    },
    "$defs": {"Shape": {"type": "string", "enum": ["round", "square"]}},
}


def given(*arguments: str, typed: str = "") -> dict[str, Any]:
    """The body that these words make."""
    body: dict[str, Any] = {}

    def run(**values: Any) -> None:
        body.update(body_of(SCHEMA, values))

    command = click.Command("box", params=[*options_of(SCHEMA)], callback=run)
    ended = CliRunner().invoke(command, arguments, input=typed, catch_exceptions=True)
    if ended.exception is not None:
        raise ended.exception
    return body


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        ("--max-size 5", {"maxSize": 5}),
        ("--no-on", {"on": False}),
        ("--kind b --level 2", {"kind": "b", "level": 2}),
        ("--tags x --tags y", {"tags": ["x", "y"]}),
        ("--parts [{}]", {"parts": [{}]}),
        ("--field-output x --field-wait", {"output": "x", "wait": True}),
        ("--limit 1.5 --size 3", {"limit": 1.5, "size": 3}),
        ("--shape round", {"shape": "round"}),
        ("--whatever null", {"whatever": None}),
        ("", {}),
    ],
)
def test_what_is_given_is_sent_as_the_schema_types_it(arguments: str, body: dict[str, Any]) -> None:
    assert given(*arguments.split()) == body


@pytest.mark.parametrize("arguments", ["--max-size x", "--kind c", "--level 3", "--shape oval", "--nothing 1"])
def test_what_the_schema_does_not_allow_is_wrong_usage(arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        given(*arguments.split())
    assert ended.value.code == 2


def test_a_secret_is_read_from_a_file_or_from_standard_input(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("hush hush\n")
    assert given("--password", str(file)) == {"password": "hush hush"}
    assert given("--password", "-", typed="hush\n") == {"password": "hush"}


def test_text_that_is_no_json_is_refused_where_json_is_needed() -> None:
    with pytest.raises(Invalid, match="--parts takes JSON"):
        given("--parts", "{")


def test_help_says_what_a_field_is_and_what_it_is_otherwise() -> None:
    helped = {option.opts[0]: option.help for option in options_of(SCHEMA)}
    assert helped["--max-size"] == "How large. [required]"
    assert helped["--colour"] == "Of what. [red]"
    assert helped["--shape"] == "How it looks."
    assert {option.opts[0]: option.help for option in options_of(SCHEMA, defaults=False)}["--colour"] == "Of what."


def test_no_field_takes_an_option_of_the_command() -> None:
    every = {"properties": {name: {"type": kind} for name in TAKEN for kind in ("string",)} | {"wait": {"type": "boolean"}}}
    provider = Provider.model_validate({"name": "n", "endpoint": "e", "schema": {"provision": every, "update": every}})
    for group in (provision, update):
        command = group.make(provider)
        assert command is not None
        options = [option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)]
        assert len(options) == len(set(options))


def test_the_schema_of_a_model_makes_options() -> None:
    class Shape(enum.Enum):
        ROUND = "round"

    class Model(BaseModel):
        shape: Shape = Shape.ROUND
        limit: int | None = None

    options = {option.opts[0]: option.type.name for option in options_of(Model.model_json_schema())}
    assert options == {"--shape": "choice", "--limit": "integer"}


PUBLIC = "ssh-ed25519 AAAA ann"


def test_public_keys_are_taken_from_files_and_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# of ann\n{PUBLIC}\n\necdsa-sha2-nistp256 BBBB bob\n")
    assert keys_of((PUBLIC, str(file))) == [PUBLIC, PUBLIC, "ecdsa-sha2-nistp256 BBBB bob"]


@pytest.mark.parametrize("content", ["-----BEGIN OPENSSH PRIVATE KEY-----\nhush\n", "hush\n", "", "\xff\xfe"])
def test_what_is_no_public_key_is_refused_without_being_shown(tmp_path: Path, content: str) -> None:
    file = tmp_path / "ssh-id"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(Invalid, match="takes an OpenSSH public key") as refused:
        keys_of((str(file),))
    assert "hush" not in str(refused.value)
