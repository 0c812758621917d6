"""What plugins may rely on: signatures and fields of the first version, held against today's.

The tables below are never edited, only added to: whoever must change a line of them breaks somebody's plugin.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import SimpleNamespace
from typing import Any

import pluggy
import pytest

from enopax_core import Change, Event, Finding, Place, Presented, Principal, ResourceRecord, Route, Tables, Target, hookimpl
from enopax_core.errors import PluginRefused
from enopax_core.hooks import GOVERNING_HOOKS, PluginSpec
from enopax_core.provider import HOOKS, Action, Metric, Observed, Operation, Outcome, Plan, Price, Provider, Resource
from enopax_core.provider.spec import ProviderSpec, hookspec
from enopax_core.registry import Registry

PROVIDER_METHODS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("provision", "update", "delete", "restore", "purge", "rotate", "suspend", "resume"), ("operation", "resource")
    ),
    **dict.fromkeys(("status", "preview", "metrics", "logs", "follow"), ("resource",)),
    **dict.fromkeys(("inventory", "endpoints", "schedules"), ()),
}
GOVERNING_ARGUMENTS: Mapping[str, frozenset[str]] = {
    "enopax_backup": frozenset({"host", "folder"}),
    "enopax_restore": frozenset({"host", "folder"}),
    "enopax_providers": frozenset({"host"}),
    "enopax_tables": frozenset(),
    "enopax_permissions": frozenset(),
    "enopax_lifespan": frozenset({"host"}),
    "enopax_routes": frozenset({"host"}),
    "enopax_authenticate": frozenset({"host", "presented"}),
    "enopax_resolve": frozenset({"host", "organisation", "project", "by"}),
    "enopax_places": frozenset({"host", "projects"}),
    "enopax_authorise": frozenset({"host", "principal", "permission", "targets"}),
    "enopax_admit": frozenset({"host", "change"}),
    "enopax_accept": frozenset({"host", "change", "transaction"}),
    "enopax_attempt": frozenset({"host", "operation", "resource"}),
    "enopax_event": frozenset({"host", "event"}),
    "enopax_examine": frozenset({"host", "running", "fix"}),
}
FIELDS: Mapping[type[Any], frozenset[str]] = {
    Resource: frozenset(
        {
            *("id", "name", "organisation", "project", "organisation_slug", "project_slug"),
            *("plan", "config", "applied", "ssh_keys", "state", "credentials"),
        }
    ),
    Outcome: frozenset({"access", "connection", "credentials", "state", "message"}),
    Observed: frozenset({"health", "message", "config", "conditions"}),
    Plan: frozenset({"id", "name", "description", "price", "limits", "preset"}),
    Price: frozenset({"amount", "currency", "per"}),
    Metric: frozenset({"value", "unit", "help"}),
    Action: frozenset({"action", "what", "detail"}),
    Change: frozenset({"type", "permission", "principal", "place", "endpoint", "plan", "before", "after", "preview"}),
    Event: frozenset({"position", "id", "type", "operation", "resource", "organisation", "project", "sequence", "at", "data"}),
    Finding: frozenset({"check", "severity", "message", "remedy"}),
    Place: frozenset({"organisation_id", "organisation", "organisation_slug", "project_id", "project", "project_slug", "new"}),
    Target: frozenset({"organisation", "project", "resource"}),
    Presented: frozenset({"address", "token", "basic", "cookie", "query_token", "ssh_key"}),
    Principal: frozenset(
        {
            *("id", "kind", "role", "permissions", "organisation", "project", "resources"),
            *("credential", "on_behalf_of", "authenticated_at", "expires_at", "ambient"),
        }
    ),
    Route: frozenset({"path", "app", "access", "methods", "permission", "body_limit", "verify", "openapi"}),
    Tables: frozenset({"section", "folder"}),
    ResourceRecord: frozenset(
        {
            *("id", "endpoint", "organisation", "project", "name", "user_id", "plan", "status", "message", "access"),
            *("connection", "ssh_keys", "config", "applied", "conditions", "holds", "created_at", "updated_at"),
        }
    ),
}
REQUIRED: Mapping[type[Any], frozenset[str]] = {
    Resource: frozenset({"id", "name", "organisation", "project", "plan", "config"}),
    Outcome: frozenset(),
    Observed: frozenset({"health"}),
    Plan: frozenset({"id"}),
    Price: frozenset({"amount", "currency"}),
    Metric: frozenset({"value", "unit"}),
    Action: frozenset({"action", "what"}),
    Finding: frozenset({"check", "severity", "message"}),
    Place: frozenset({"organisation_id", "organisation", "organisation_slug"}),
    Target: frozenset(),
    Presented: frozenset({"address"}),
    Principal: frozenset({"id", "kind"}),
    Route: frozenset({"path", "app", "access"}),
    Tables: frozenset({"section", "folder"}),
}
"""What plugins build themselves."""
OPERATION = frozenset({"id", "attempt", "key", "progress", "announce", "step"})


def parameters(specification: type[Any], name: str) -> tuple[str, ...]:
    return tuple(inspect.signature(getattr(specification, name)).parameters)[1:]


@pytest.mark.parametrize("name", PROVIDER_METHODS)
def test_a_provider_method_has_the_parameters_it_has_always_had(name: str) -> None:
    assert parameters(ProviderSpec, name) == PROVIDER_METHODS[name]


def test_every_provider_method_is_held_to_the_rule() -> None:
    assert set(HOOKS) == set(PROVIDER_METHODS)


@pytest.mark.parametrize("name", GOVERNING_ARGUMENTS)
def test_a_governing_hook_has_lost_no_argument(name: str) -> None:
    assert set(parameters(PluginSpec, name)) >= GOVERNING_ARGUMENTS[name]


def test_every_governing_hook_is_held_to_the_rule() -> None:
    assert set(GOVERNING_HOOKS) == set(GOVERNING_ARGUMENTS)


@pytest.mark.parametrize("name", GOVERNING_ARGUMENTS)
def test_a_governing_hook_may_be_implemented_without_any_of_its_arguments(name: str) -> None:
    if inspect.iscoroutinefunction(getattr(PluginSpec, name)):

        async def implementation() -> None: ...
    else:

        def implementation() -> None: ...  # type: ignore[misc]  # the same name, for the other kind of hook

    Registry().add(SimpleNamespace(**{name: hookimpl(implementation)}), "plugin")


def test_an_implementation_goes_on_working_when_its_hook_has_gained_an_argument() -> None:
    class Newer:
        @hookspec
        def enopax_accept(self, host: object, change: object, transaction: object, reason: object) -> None: ...

    class Older:
        @hookimpl
        def enopax_accept(self, change: object) -> object:
            return change

    manager = pluggy.PluginManager("enopax")
    manager.add_hookspecs(Newer)
    manager.register(Older())
    assert manager.hook.enopax_accept(host=None, change="it", transaction=None, reason="new") == ["it"]


def test_an_implementation_for_a_newer_core_is_refused_with_its_place() -> None:
    class Ahead:
        @hookimpl
        def enopax_accept(self, change: object, reason: object) -> None: ...

    with pytest.raises(PluginRefused, match=r"cannot take an argument reason.*test_compatibility\.py:\d+"):
        Registry().add(Ahead(), "ahead")


def test_a_provider_method_with_other_parameters_is_refused_with_its_place() -> None:
    with pytest.raises(PluginRefused, match=r"must take \(self, operation, resource\).*test_compatibility\.py:\d+"):

        class Wider(Provider[Any]):
            def provision(self, operation: Operation, resource: Resource[Any], reason: str = "") -> Outcome:
                return Outcome()


def names_of(kind: type[Any]) -> dict[str, bool]:
    """Fields of a value, and whether they must be given."""
    if hasattr(kind, "model_fields"):
        return {name: field.is_required() for name, field in kind.model_fields.items()}
    return {field.name: field.default is MISSING and field.default_factory is MISSING for field in fields(kind)}


@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: kind.__name__)
def test_a_value_has_lost_no_field(kind: type[Any]) -> None:
    assert set(names_of(kind)) >= FIELDS[kind]


@pytest.mark.parametrize("kind", REQUIRED, ids=lambda kind: kind.__name__)
def test_a_field_that_came_later_has_a_default(kind: type[Any]) -> None:
    assert {name for name, required in names_of(kind).items() if required} <= REQUIRED[kind]


def test_the_handle_of_an_operation_has_lost_nothing() -> None:
    assert {name for name in vars(Operation) if not name.startswith("_")} >= OPERATION
