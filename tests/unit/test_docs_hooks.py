"""The page of the governing hooks: complete, and its examples are plugins that the registry takes."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
from typing import Any, get_args, get_type_hints

import pytest
from tests.unit.pages import codes, compare, rows, section, text

from enopax_core import Change, Event, Host, Place, Presented, Principal, Route, Target, Transaction
from enopax_core.hooks import GOVERNING_HOOKS, PluginSpec, Ports, Resources
from enopax_core.registry import Registry

PAGE = "reference/hooks.md"


def names(part: str) -> list[str]:
    """Names in the first column, without what stands in parentheses."""
    return [code.partition("(")[0] for cells in rows(part) for code in codes(cells[0])]


def test_every_hook_is_listed_with_its_arguments() -> None:
    listed = {codes(cells[0])[0] for cells in rows(text(PAGE).partition("\n## ")[0])}
    offered = set()
    for hook in GOVERNING_HOOKS:
        arguments = list(inspect.signature(getattr(PluginSpec, hook)).parameters)[1:]
        offered.add(f"{hook}({', '.join(arguments)})")
    compare(listed, offered)


def test_asynchronous_hooks_are_named() -> None:
    sentence = re.search(r"- \*\*async\.\*\* (.*?) are `async def`", text(PAGE), re.DOTALL)
    assert sentence is not None
    compare(codes(sentence[1]), [hook for hook in GOVERNING_HOOKS if inspect.iscoroutinefunction(getattr(PluginSpec, hook))])


@pytest.mark.parametrize("hook", GOVERNING_HOOKS)
def test_the_example_of_a_hook_is_a_plugin(hook: str) -> None:
    example = re.search(r"^```python\n(.*?)^```", section(PAGE, f"`{hook}`"), re.MULTILINE | re.DOTALL)
    assert example is not None
    plugin = types.ModuleType(f"example of {hook}")
    exec(compile(example[1], plugin.__name__, "exec"), vars(plugin))
    registry = Registry()
    registry.add(plugin, "example")
    assert getattr(registry.manager.hook, hook).get_hookimpls()


@pytest.mark.parametrize(
    ("heading", "protocol"),
    [("Host", Host), ("Host.resources", Resources), ("Host.ports", Ports), ("Transaction", Transaction)],
)
def test_everything_that_is_lent_is_documented(heading: str, protocol: type[Any]) -> None:
    compare(names(section(PAGE, heading)), [name for name in vars(protocol) if not name.startswith("_")])


@pytest.mark.parametrize("value", [Change, Presented, Principal, Place, Target, Event])
def test_every_field_of_a_value_is_documented(value: type[Any]) -> None:
    compare(names(section(PAGE, value.__name__)), [field.name for field in dataclasses.fields(value)])


def test_every_field_of_a_route_and_every_access_is_documented() -> None:
    kinds = get_args(get_type_hints(Route)["access"])
    compare(names(section(PAGE, "Route")), [*kinds, *(field.name for field in dataclasses.fields(Route))])
