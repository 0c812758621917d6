"""The reference is complete: what the code offers is documented, and what is documented exists."""

from __future__ import annotations

import configparser
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import click
import pytest
from tests.unit.pages import DOCS, compare, named, section, text

from enopax_core import Core, Settings, client
from enopax_core.cli import OWN, group
from enopax_core.cli.by_provider import ByProvider
from enopax_core.cli.session import OPTIONS
from enopax_core.records.operation import State
from enopax_core.records.resource import Status


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Core:
    """A core with every installed plugin, never opened."""
    return Core(Settings(data_dir=tmp_path_factory.mktemp("docs")))


def test_every_state_is_documented() -> None:
    compare(named(section("reference/states.md", "Status of a resource")), {*Status})
    compare(named(section("reference/states.md", "State of an operation")), {*State})


def options(command: click.Command) -> set[str]:
    """Options of a command and of what is below it; of those made for each provider, what they have in common."""
    context = click.Context(command)
    found = {option for parameter in command.get_params(context) for option in parameter.opts if option.startswith("--")}
    if isinstance(command, ByProvider):
        custom = {"path": "/x", "method": "POST", "name": "x", "schema": {"type": "object"}, "download": True}
        nothing = client.Provider.model_validate(
            {"name": "n", "endpoint": "e", "schema": {"provision": {}, "update": {}}, "customEndpoints": [custom]}
        )
        below = [command.make(nothing)]
    elif isinstance(command, click.Group):
        below = [command.get_command(context, name) for name in command.list_commands(context)]
    else:
        below = []
    return found.union(*(options(one) for one in below if one is not None)) - {"--help"}


@pytest.mark.parametrize("name", sorted(OWN))
def test_every_command_is_documented_with_its_options(name: str) -> None:
    command = group.get_command(click.Context(group), name)
    assert command is not None
    part = section("reference/commands.md", f"`enopax {name}`")
    shared = {option for one in _decorated(OPTIONS) for option in one.opts}
    documented = set(re.findall(r"`(--[a-z-]+)[^`]*`", part)) | (shared if "Shared options." in part else set())
    compare(documented, options(command))


def _decorated(decorators: Iterable[Any]) -> list[click.Parameter]:
    """Parameters that decorators leave on what they decorate."""

    def nothing() -> None: ...

    for decorator in decorators:
        decorator(nothing)
    found: list[click.Parameter] = nothing.__click_params__  # type: ignore[attr-defined]  # click's own way of keeping them
    return found


def test_every_bundled_provider_is_documented_with_its_fields(core: Core) -> None:
    for known in core.registry.providers:
        part: Any = section("reference/providers.md", f"`{known.endpoint}`")
        missing = [name for name in known.configuration.properties if f"| `{name}` |" not in part]
        missing += [plan for plan in known.plans if f"`{plan}`" not in part]
        missing += [f"{e.method} {e.path}" for e in known.endpoints if f"`{e.method} {e.path}`" not in part]
        assert missing == [], known.endpoint


def test_the_floors_are_documented_as_they_are_kept() -> None:
    linter = configparser.ConfigParser()
    linter.read(DOCS.parent / ".importlinter")
    kept = [set(re.findall(r"\w+", floor)) for floor in linter["importlinter:contract:floors"]["layers"].split("\n") if floor]
    shown = re.search(r"```text\n(.*?)```", section("explanation/architecture.md", "The floors"), re.DOTALL)
    assert shown is not None
    assert [set(floor.split()) for floor in shown[1].splitlines()] == kept


@pytest.mark.parametrize("page", sorted(str(path.relative_to(DOCS)) for path in DOCS.glob("**/*.md")))
def test_no_page_has_two_headings_alike(page: str) -> None:
    headings = re.findall(r"^##+ .*$", re.sub(r"^```.*?^```", "", text(page), flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    assert [heading for heading, times in Counter(headings).items() if times > 1] == []


def test_the_glossary_is_in_order() -> None:
    terms = re.findall(r"^(\w.*)\n:   ", text("reference/glossary.md"), re.MULTILINE)
    assert terms == sorted(set(terms), key=str.lower)
