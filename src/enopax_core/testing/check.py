"""`python -m enopax_core.testing.check TARGET`: the kits on a plugin that is installed or lies in a folder.

Writes one line of JSON for each promise as it is tested: `of`, `promise`, `outcome` (`kept`, `broken`, `not offered`),
`message`, `log`. A line with `error` says that there was nothing to test. `enopax plugin check` shows it to people.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TextIO

import pytest
from pydantic import BaseModel

from enopax_core.core.core import Core
from enopax_core.errors import EnopaxError, PluginRefused
from enopax_core.hooks import GOVERNING_HOOKS
from enopax_core.provider.config import Configuration
from enopax_core.settings import Settings
from enopax_core.testing.plugin import PluginConformance
from enopax_core.testing.provider import ProviderConformance

GROUP = "enopax"
GOVERNING = frozenset(GOVERNING_HOOKS) - {"enopax_providers", "enopax_tables"}
OUTCOMES = {"passed": "kept", "failed": "broken", "skipped": "not offered"}
MODULE = """from enopax_core.testing.check import kits_of

globals().update(kits_of({value!r}, {config!r}, {changed!r}))
"""


Config = Mapping[str, Any] | None


class NothingToTest(Exception):
    """Why, in a sentence."""


class Report:
    """A pytest plugin that leaves the kits' tests alone, and writes what came of each."""

    def __init__(self, out: TextIO) -> None:
        self.seen = 0
        self._out = out

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """What an author tests beside the promises is theirs."""
        kits = (ProviderConformance, PluginConformance)
        items[:] = [item for item in items if isinstance(item, pytest.Function) and item.cls and issubclass(item.cls, kits)]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be imported."""
        if report.failed:
            self._write(of=report.nodeid or "the plugin", promise="can be tested", outcome="broken", message=report.longreprtext)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A promise was tested, or could not be."""
        if report.when != "call" and report.passed:
            return
        skipped = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        kind, name = report.nodeid.split("::")[-2:]
        self._write(
            of=kind.removeprefix("Test").strip(),
            promise=name.removeprefix("test_").replace("_", " "),
            outcome=OUTCOMES[report.outcome],
            message=skipped.removeprefix("Skipped: ") if skipped else report.longreprtext,
            log=report.caplog if report.failed else "",
        )

    def _write(self, **line: str) -> None:
        self.seen += 1
        write(self._out, line)


def write(out: TextIO, line: Mapping[str, str]) -> None:
    """One line of JSON, at once."""
    print(json.dumps(line), file=out, flush=True)


def check(out: TextIO, target: str, config: Config, changed: Config) -> None:
    """Run the kits. Raises NothingToTest."""
    report = Report(out)
    folder = Path(target)
    if not folder.is_dir():
        entries = installed(target)
    else:
        entries = announced_by(folder)
        sys.path.insert(0, str(folder / "src" if (folder / "src").is_dir() else folder))
        if config is None and (folder / "tests").is_dir():
            run_pytest(report, folder / "tests", root=folder)
    if not report.seen:
        run_generated(report, entries, config, changed)


def installed(name: str) -> list[EntryPoint]:
    """The plugin of a name, or those of a distribution."""
    found = [entry for entry in entry_points(group=GROUP) if name in (entry.name, entry.dist.name if entry.dist else "")]
    if not found:
        known = sorted(entry.name for entry in entry_points(group=GROUP))
        raise NothingToTest(f"There is neither a folder nor a plugin {name}; installed are {', '.join(known) or 'none'}.")
    return found


def announced_by(folder: Path) -> list[EntryPoint]:
    """The plugins that a folder's pyproject.toml announces."""
    file = folder / "pyproject.toml"
    declared = tomllib.loads(file.read_text()) if file.is_file() else {}
    entries = declared.get("project", {}).get("entry-points", {}).get(GROUP, {})
    if not entries:
        raise NothingToTest(f'{file} announces no plugin: write [project.entry-points.{GROUP}] with name = "module".')
    return [EntryPoint(name, value, GROUP) for name, value in entries.items()]


def run_generated(report: Report, entries: Sequence[EntryPoint], config: Config, changed: Config) -> None:
    """Test plugins whose authors have written no conformance tests, with configurations found in their schemas."""
    with tempfile.TemporaryDirectory(prefix="enopax-check-") as name:
        for number, entry in enumerate(entries):
            content = MODULE.format(value=entry.value, config=config, changed=changed)
            Path(name, f"test_{number}.py").write_text(content)
        run_pytest(report, Path(name), root=Path(name))


def run_pytest(report: Report, tests: Path, *, root: Path) -> None:
    """Run pytest, which leaves nothing behind; what it says itself goes nowhere."""
    quiet = ["-p", "no:cacheprovider", "--import-mode=importlib", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    pytest.main([str(tests), "--rootdir", str(root), *quiet], plugins=[report])


# ── What a generated module holds ─────────────────────────────────────────────────────────────────────────────────────


def kits_of(value: str, config: Config, changed: Config) -> dict[str, type]:
    """Test classes for everything that a plugin's module announces, by name. Raises CollectError: pytest shows its words."""
    try:
        return _kits_of(value, config, changed)
    except EnopaxError as error:
        raise pytest.Collector.CollectError(error.message) from error


def _kits_of(value: str, config: Config, changed: Config) -> dict[str, type]:
    plugin = EntryPoint("plugin", value, GROUP).load()
    settings = free_ports(getattr(plugin, "enopax_settings", {}))
    with tempfile.TemporaryDirectory(prefix="enopax-check-") as name:
        registry = Core(Settings(data_dir=Path(name), sections=settings), plugins=[plugin]).registry
    for problem in registry.problems:
        raise PluginRefused(problem.message)
    providers = registry.providers
    kits: dict[str, type] = {}
    common: dict[str, Any] = {"settings": settings, "plugin": lambda self, data_dir: plugin}
    for registered in providers:
        chosen = config or some_config(registered.configuration)
        other = changed or other_config(registered.configuration, chosen)
        given = {**common, "endpoint": registered.endpoint, "config": chosen, "changed": other}
        kits[f"Test {registered.endpoint}"] = type("Kit", (ProviderConformance,), given)
    if any(hasattr(plugin, hook) for hook in GOVERNING):
        given = dict(common)
        if len(providers) == 1:
            given |= {"endpoint": providers[0].endpoint, "config": config or some_config(providers[0].configuration)}
        kits[f"Test hooks of {value}"] = type("Kit", (PluginConformance,), given)
    return kits


def free_ports(sections: Mapping[str, type[BaseModel]]) -> dict[str, dict[str, Any]]:
    """Settings under which a second server could run beside one: every port is picked by the system."""
    ports = {s: [f for f in m.model_fields if f == "port" or f.endswith("_port")] for s, m in sections.items()}
    return {section: dict.fromkeys(fields, 0) for section, fields in ports.items() if fields}


def some_config(configuration: Configuration) -> dict[str, Any]:
    """A valid configuration: what is required, as the schema's own examples, defaults and first members say."""
    config: dict[str, Any] = {}
    for name in configuration.schema.get("required", ()):
        values = list(suggestions(configuration.properties[name]))
        if not values:
            raise EnopaxError(f"The schema gives no example for {name!r}: add one, or say a configuration with --config.")
        config[name] = values[0]
    return config


def other_config(configuration: Configuration, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Another valid configuration that differs in one field; None: the schema offers none."""
    whole, _ = configuration.parse(config)
    for name, field in configuration.properties.items():
        for value in (*suggestions(field), *neighbours(whole.get(name))):
            changed = {**config, name: value}
            if value != whole.get(name) and not configuration.parse(changed)[1]:
                return changed
    return None


def suggestions(field: Mapping[str, Any]) -> Iterable[Any]:
    """Values that a field's schema names itself."""
    return [
        *field.get("examples", ()),
        *([field["default"]] if "default" in field else ()),
        *field.get("enum", ()),
        *([field["const"]] if "const" in field else ()),
    ]


def neighbours(value: Any) -> Iterator[Any]:
    """Values near another."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, (int, float)):
        yield from (value + 1, value - 1)
    elif isinstance(value, str):
        yield from (value + "x", value[:-1], "changed")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the module. 0 once something was tested, whatever came of it."""
    parser = argparse.ArgumentParser(prog="enopax_core.testing.check")
    parser.add_argument("target")
    parser.add_argument("--config", type=json.loads)
    parser.add_argument("--changed", type=json.loads)
    given = parser.parse_args(arguments)
    with os.fdopen(os.dup(1), "w") as out, Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), 1)  # what pytest and the plugin print would stand between the lines
        try:
            check(out, given.target, given.config, given.changed)
        except (NothingToTest, OSError, tomllib.TOMLDecodeError) as error:
            write(out, {"error": str(error)})
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
