"""What the tables of the reference say is so: defaults, variables, statuses, labels, types."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest
from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel
from tests.unit.pages import codes, compare, named, rows, section, text

from enopax_core import Core, Settings, errors
from enopax_core.api.problems import STATUSES, TITLES, problem
from enopax_core.builtin.roles import ROLES, permissions_of
from enopax_core.cli.serve import command_options, plugin_sections
from enopax_core.events.recorder import ResourceEvent
from enopax_core.provider.values import STAGES
from enopax_core.records.operation import Kind, State
from enopax_core.settings import option_of


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Core:
    """A core with every installed plugin, never opened."""
    return Core(Settings(data_dir=tmp_path_factory.mktemp("docs")))


# ── Settings ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def shown(default: object) -> str:
    """A default as the table writes it."""
    if default is None or default == "":
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, float):
        return f"`{default:g}`"
    return f"`{list(default) if isinstance(default, tuple) else default}`"


def facts(part: str) -> list[tuple[str, str, str, str]]:
    """Key, variable, option and default of each row."""
    return [(cells[0], cells[1], cells[2], cells[3]) for cells in rows(part)]


def test_settings_of_the_core_have_the_variable_option_and_default_that_are_documented() -> None:
    options = {name for option in command_options() for name in option.opts}
    expected = []
    for key, field in Settings.model_fields.items():
        option = "--no-auth" if key == "auth" else f"--{key.replace('_', '-')}"
        if key != "sections":
            written = f"`{option}`" if option in options else ""
            expected.append((f"`{key}`", f"`ENOPAX_{key.upper()}`", written, shown(field.get_default())))
    assert facts(section("reference/settings.md", "The core")) == expected


SECTIONS: dict[str, type[BaseModel]] = plugin_sections()[0]


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_settings_of_a_section_have_the_variable_option_and_default_that_are_documented(name: str) -> None:
    expected = []
    for key, field in SECTIONS[name].model_fields.items():
        option = option_of(SECTIONS[name], key)
        variable = option.lstrip("-").replace("-", "_") if option else f"{name}_{key}"
        expected.append((f"`{key}`", f"`ENOPAX_{variable.upper()}`", f"`{option}`" if option else "", shown(field.get_default())))
    assert facts(section("reference/settings.md", f"Section `[{name}]`")) == expected


def test_no_section_is_documented_that_nobody_reads() -> None:
    documented = re.findall(r"^## Section `\[(.+)\]`$", text("reference/settings.md"), re.MULTILINE)
    compare(documented, SECTIONS)


# ── Errors ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def subclasses(kind: type[errors.EnopaxError]) -> set[type[errors.EnopaxError]]:
    """A class and everything derived from it."""
    return {kind}.union(*(subclasses(derived) for derived in kind.__subclasses__()))


def test_an_error_of_a_request_answers_with_the_status_that_is_documented() -> None:
    documented = {codes(cells[0])[0]: cells[1] for cells in rows(section("reference/errors.md", "Of requests"))}
    classes = {kind.code: kind for kind in subclasses(errors.EnopaxError)}
    for code, status in documented.items():
        number = re.match(r"[0-9]{3}", status)
        if number is not None:
            more: dict[str, Any] = {"retry_after": 1.0} if code == "too-many-requests" else {}
            assert problem(classes[code]("x", **more)).status_code == int(number[0]), code


def test_every_status_of_an_error_is_documented() -> None:
    documented = {int(number) for number in re.findall(r"\b[45][0-9]{2}\b", text("reference/errors.md"))}
    compare(documented, {*TITLES, *(status for _, status in STATUSES)})


# ── Metrics ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_metrics_have_the_type_and_the_labels_that_are_documented(core: Core) -> None:
    suffixes = {"counter": "_total"}
    offered = {}
    for collector in set(core.metrics.registry._collector_to_names):  # prometheus_client shows labels nowhere else
        assert isinstance(collector, MetricWrapperBase)
        family = next(iter(collector.describe()))
        offered[family.name + suffixes.get(family.type, "")] = (family.type, list(collector._labelnames))
    table = [cells for cells in rows(text("reference/metrics.md")) if len(cells) == 4]
    assert {codes(name)[0]: (kind, codes(labels)) for name, kind, labels, _ in table} == offered


def test_every_label_of_a_metric_is_explained(core: Core) -> None:
    page = text("reference/metrics.md")
    labels = {label for cells in rows(page) if len(cells) == 4 for label in codes(cells[2])}
    explained = {label for cells in rows(page) if len(cells) == 2 for label in codes(cells[0])}
    compare(explained, labels)


# ── States and events ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_stages_are_documented_with_their_percentage() -> None:
    assert {codes(stage)[0]: int(percent) for stage, percent in rows(section("reference/states.md", "Stages"))} == STAGES


def test_every_type_of_operation_is_documented() -> None:
    compare(named(section("reference/states.md", "Types of operations")), set(Kind))


def test_every_type_of_event_is_documented() -> None:
    operations = {f"eu.enopax.operation.{what}" for what in (*State, "progress")}
    resources = {f"eu.enopax.resource.{what}" for what in get_args(ResourceEvent)}
    compare(named(section("reference/events.md", "Types")), operations | resources)


# ── Roles ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_roles_hold_the_permissions_that_are_documented(core: Core) -> None:
    table = [cells for cells in rows(text("howto/keys.md")) if cells[0].strip("`") in ROLES]
    held: set[str] = set()
    for role, permissions in table:
        held |= set(codes(permissions))
        assert held == permissions_of(role.strip("`"), core.host.declared_permissions), role
    assert [cells[0].strip("`") for cells in table] == list(ROLES)
