"""A file compared with what exists."""

from __future__ import annotations

import pytest

from enopax_core.cli.fields import body_of, options_of
from enopax_core.cli.plan import compared, declared, exported
from enopax_core.client import Resource
from enopax_core.errors import Invalid

SCHEMA = {
    "properties": {
        "name": {"type": "string"},
        "maxSize": {"type": "integer", "default": 3, "description": "How large."},
        "on": {"type": "boolean"},
        "kind": {"type": "string", "enum": ["a", "b"]},
        "parts": {"type": "array"},
    }
}


def resource(name: str) -> Resource:
    """A resource of this name."""
    return Resource(id=f"id-{name}", name=name, status="active")


def test_what_is_new_known_and_extra_is_told_apart() -> None:
    file = declared({"resources": [{"endpoint": "box", "name": "a"}, {"endpoint": "box", "name": "b", "size": 1}]})
    plan = compared(file, [("box", resource("b")), ("box", resource("c"))])
    assert [one.name for one in plan.new] == ["a"]
    assert [(one.fields, found.id) for one, found in plan.known] == [({"size": 1}, "id-b")]
    assert [found.name for _, found in plan.extra] == ["c"]


def test_what_the_file_does_not_speak_of_is_not_extra() -> None:
    plan = compared(declared({"resources": []}), [("box", resource("c"))])
    assert plan.extra == []


def test_every_fault_of_a_file_is_named_at_once() -> None:
    twice = {"endpoint": "box", "name": "a"}
    with pytest.raises(Invalid) as invalid:
        declared({"resources": [twice, {"name": "b"}, twice], "extra": 1})
    assert [fault.pointer for fault in invalid.value.faults] == ["/extra", "/resources/1", "/resources/2"]


def test_an_exported_resource_holds_no_secrets() -> None:
    found = Resource(
        id="i", name="a", status="active", plan="p", ssh_keys=["k"], config={"size": 1, "password": "***", "none": None}
    )
    assert exported("box", found, ["password"]) == {"endpoint": "box", "name": "a", "plan": "p", "sshKeys": ["k"], "size": 1}


def test_options_are_drawn_from_a_schema_and_read_back() -> None:
    options = {option.opts[0]: option for option in options_of(SCHEMA)}
    assert list(options) == ["--max-size", "--on", "--kind", "--parts"]
    assert options["--max-size"].help == "How large. [3]"
    given = {"field_max_size": 5, "field_on": False, "field_kind": None, "field_parts": "[1, 2]"}
    assert body_of(SCHEMA, given) == {"maxSize": 5, "on": False, "parts": [1, 2]}


def test_text_that_is_no_json_is_refused_where_json_is_needed() -> None:
    with pytest.raises(Invalid, match="--parts takes JSON"):
        body_of(SCHEMA, {"field_parts": "{"})
