"""The page of the provider contract: complete, with the defaults that are so."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import BaseModel
from tests.unit.pages import codes, compare, named, rows, section

from enopax_core.provider import (
    HOOKS,
    Action,
    Condition,
    LogLine,
    Metric,
    Observed,
    Operation,
    Outcome,
    Plan,
    Price,
    Provider,
    ProviderSpec,
    Resource,
    custom_endpoint,
    scheduled,
)
from enopax_core.registry import ENVELOPE

PAGE = "reference/provider.md"


def names(heading: str) -> list[str]:
    """Names in the first column of a section's tables, without what stands in parentheses."""
    return [code.partition("(")[0] for cells in rows(section(PAGE, heading)) for code in codes(cells[0])]


def test_every_attribute_of_a_provider_is_documented() -> None:
    compare(names("Attributes"), [name for name in Provider.__annotations__ if not name.startswith("_")])


def test_every_hook_is_documented_and_the_mandatory_ones_are_marked() -> None:
    compare(names("Hooks"), HOOKS)
    marked = {codes(cells[0])[0] for cells in rows(section(PAGE, "Hooks")) if cells[0].startswith("**")}
    compare(marked, ProviderSpec.__abstractmethods__)


@pytest.mark.parametrize("value", [Resource, Outcome, Observed, Condition])
def test_every_field_of_a_value_is_documented(value: type[Any]) -> None:
    compare(names(value.__name__), [field.name for field in dataclasses.fields(value)])


@pytest.mark.parametrize("model", [Plan, Price, Metric, LogLine, Action])
def test_every_field_of_a_model_is_documented(model: type[BaseModel]) -> None:
    compare(names(model.__name__), model.model_fields)


@pytest.mark.parametrize(
    ("heading", "field", "owner"),
    [
        ("Observed", "health", Observed),
        ("Condition", "status", Condition),
        ("Price", "per", Price),
        ("LogLine", "level", LogLine),
        ("Action", "action", Action),
    ],
)
def test_every_word_that_a_field_may_hold_is_documented(heading: str, field: str, owner: type[Any]) -> None:
    cells = next(cells for cells in rows(section(PAGE, heading)) if codes(cells[0]) == [field])
    compare(codes(cells[1]), get_args(get_type_hints(owner)[field]))


def test_everything_that_an_operation_offers_is_documented() -> None:
    compare(names("Operation"), [name for name in vars(Operation) if not name.startswith("_")])


@pytest.mark.parametrize(("heading", "decorator"), [("Custom endpoints", custom_endpoint), ("Schedules", scheduled)])
def test_every_argument_of_a_decorator_is_documented(heading: str, decorator: Any) -> None:
    compare(names(heading), inspect.signature(decorator).parameters)


def test_the_names_that_are_taken_are_documented() -> None:
    sentence = re.search(r"The names (.*?) are taken", section(PAGE, "Configuration"), re.DOTALL)
    assert sentence is not None
    compare(codes(sentence[1]), ENVELOPE)


def test_the_errors_that_are_named_are_offered_to_authors() -> None:
    import enopax_core.provider

    assert named(section(PAGE, "Errors")) <= set(dir(enopax_core.provider))
