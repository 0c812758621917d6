"""A file compared with what exists."""

from __future__ import annotations

from typing import Any

import pytest

from enopax_core.cli.plan import Wanted, changing, compared, counted, declared, exported
from enopax_core.client import Change, Resource
from enopax_core.errors import Fault, Forbidden, Invalid


def resource(name: str, status: str = "active", **more: Any) -> Resource:
    """A resource of this name."""
    return Resource.model_validate({"id": f"id-{name}", "name": name, "status": status, **more})


WANTED = Wanted(at="/resources/0", endpoint="box", name="a", fields={"size": 2})
DIFFERENCE = Change(pointer="/size", old=1, new=2)


def test_what_is_new_known_and_extra_is_told_apart() -> None:
    file = declared({"resources": [{"endpoint": "box", "name": "a"}, {"endpoint": "box", "name": "b", "size": 1}]})
    plan = compared(file, [("box", resource("b")), ("box", resource("c"))])
    assert [one.name for one in plan.new] == ["a"]
    assert [(one.fields, found.id) for one, found in plan.known] == [({"size": 1}, "id-b")]
    assert [found.name for _, found in plan.extra] == ["c"]


def test_what_the_file_does_not_speak_of_is_not_extra() -> None:
    plan = compared(declared({"resources": []}), [("box", resource("c"))])
    assert plan.extra == []


def test_the_name_of_what_is_being_deleted_is_free() -> None:
    file = declared({"resources": [{"endpoint": "box", "name": "a"}, {"endpoint": "box", "name": "b"}]})
    plan = compared(file, [("box", resource("a", "deleting")), ("box", resource("b")), ("box", resource("b", "deleting"))])
    assert [one.name for one in plan.new] == ["a"]
    assert [found.status for _, found in plan.known] == ["active"]
    assert plan.extra == []


def test_what_differs_is_updated_if_it_is_still_what_was_seen() -> None:
    step = changing(WANTED, resource("a", etag='"3"'), [DIFFERENCE])
    assert (step.action, step.etag, step.body) == ("update", '"3"', {"size": 2})


def test_what_is_as_the_file_says_is_left_alone() -> None:
    assert changing(WANTED, resource("a"), []).action == "unchanged"


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (resource("a", "failed", message="No room."), "No room."),
        (
            resource("a", conditions=[{"type": "Synced", "status": "False", "reason": "Drifted", "message": "in size"}]),
            "Drifted: in size",
        ),
    ],
    ids=["failed", "drifted"],
)
def test_what_has_not_come_about_is_asked_for_again(found: Resource, reason: str) -> None:
    step = changing(WANTED, found, [])
    assert (step.action, step.reason) == ("update", reason)


def test_what_is_under_way_is_not_asked_for_again() -> None:
    found = resource("a", operation="op", conditions=[{"type": "Synced", "status": "False", "reason": "Pending"}])
    assert changing(WANTED, found, []).action == "unchanged"


def test_what_a_server_says_against_a_resource_stands_where_the_file_has_it() -> None:
    assert WANTED.faults(Invalid(faults=[Fault("/size", "Too large.")])) == [Fault("/resources/0/size", "Too large.")]
    assert WANTED.faults(Forbidden("Not yours.")) == [Fault("/resources/0", "Not yours.")]


def test_the_preview_counts_what_it_would_do() -> None:
    steps = [changing(WANTED, resource("a"), changes) for changes in ([], [DIFFERENCE], [DIFFERENCE])]
    assert counted(steps) == "2 to update, 1 unchanged"


def test_every_fault_of_a_file_is_named_at_once() -> None:
    twice = {"endpoint": "box", "name": "a"}
    with pytest.raises(Invalid) as invalid:
        declared({"resources": [twice, {"name": "b"}, twice], "extra": 1})
    assert [fault.pointer for fault in invalid.value.faults] == ["/extra", "/resources/1", "/resources/2"]


def test_an_exported_resource_holds_no_secrets() -> None:
    config = {"size": 1, "password": "***", "none": None, "logins": [{"user": "ann", "password": "***"}]}
    found = resource("a", plan="p", sshKeys=["k"], config=config)
    kept = {"size": 1, "logins": [{"user": "ann"}]}
    assert exported("box", found) == {"endpoint": "box", "name": "a", "plan": "p", "sshKeys": ["k"], **kept}
