"""What holds of every file and every plugin of the repository."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
WORKSPACE = tomllib.loads((ROOT / "pyproject.toml").read_text())

every_plugin = pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)


def project(plugin: Path) -> dict[str, Any]:
    return tomllib.loads((plugin / "pyproject.toml").read_text())


def files() -> Iterator[Path]:
    """Every file that is part of the repository, or would be once added; in a copy without Git, every visible file."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, capture_output=True, check=False)
    if listed.returncode == 0 and (ROOT / ".git").exists():
        yield from (path for name in listed.stdout.split(b"\0") if name and (path := ROOT / os.fsdecode(name)).is_file())
        return
    generated = {".git", ".venv", ".nox", ".cache", "__pycache__", "site", "dist", "build"}
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in generated and not name.endswith("_cache")]
        yield from (Path(folder, name) for name in names)


# Written in pieces, so that this file passes its own test.
PLACES = ["/wo" + "rk/", "/ro" + "ot/", "/home/run" + "ner/"]
HOSTS = ["py" + "pi.org", "python" + "hosted.org", "registry.npm" + "js.org", "crates" + ".io", "deb.deb" + "ian.org"]
STRANGERS = re.compile(rf"(?<![\w.~}}-])({'|'.join(map(re.escape, PLACES))})|{'|'.join(map(re.escape, HOSTS))}")


def test_no_file_names_a_place_of_one_machine_or_a_package_registry() -> None:
    found = []
    for path in files():
        text = path.read_bytes()
        if b"\0" in text:
            continue  # pictures and archives
        found += [
            f"{path.relative_to(ROOT)}:{number}: {match.group()}"
            for number, line in enumerate(text.decode(errors="replace").splitlines(), 1)
            if (match := STRANGERS.search(line))
        ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("script", ["scripts/install", "scripts/serve", "scripts/test", ".ci/run"])
def test_every_script_can_be_run_as_it_is(script: str) -> None:
    path = ROOT / script
    assert os.access(path, os.X_OK)
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0


@every_plugin
def test_a_plugin_has_what_a_distribution_needs(plugin: Path) -> None:
    assert (plugin / "README.md").read_text().startswith("# ")
    assert (plugin / "src" / plugin.name / "py.typed").exists()
    assert list(plugin.glob("tests/**/test_*.py")), "a plugin comes with its tests"


@every_plugin
def test_a_plugin_is_found_by_its_entry_point(plugin: Path) -> None:
    entries = project(plugin)["project"]["entry-points"]["enopax"]
    assert all(module.partition(":")[0].partition(".")[0] == plugin.name for module in entries.values())


@every_plugin
def test_a_plugin_is_built_and_supported_like_the_core(plugin: Path) -> None:
    own = project(plugin)
    assert own["build-system"] == WORKSPACE["build-system"]  # one build environment serves all (scripts/install)
    assert own["project"]["requires-python"] == WORKSPACE["project"]["requires-python"]
    assert own["project"]["name"] == plugin.name.replace("_", "-")
    assert any(line.startswith("enopax-core") for line in own["project"]["dependencies"])


@every_plugin
def test_a_plugin_is_in_every_list_that_cannot_use_a_pattern(plugin: Path) -> None:
    linter = configparser.ConfigParser()
    linter.read(ROOT / ".importlinter")
    for section, key in {
        "importlinter": "root_packages",
        "importlinter:contract:plugins": "source_modules",
        "importlinter:contract:strangers": "modules",
        "importlinter:contract:upward": "forbidden_modules",
    }.items():
        assert plugin.name in linter[section][key].split(), f".importlinter [{section}] {key}"
    assert f"$MYPY_CONFIG_FILE_DIR/plugins/{plugin.name}/src" in WORKSPACE["tool"]["mypy"]["mypy_path"]
    assert plugin.name in WORKSPACE["tool"]["coverage"]["run"]["source_pkgs"]


def test_every_page_of_the_documentation_is_in_its_navigation() -> None:
    pages = {str(path.relative_to(ROOT / "docs")) for path in ROOT.glob("docs/**/*.md")}
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    assert set(re.findall(r"[\w./-]+\.md", navigation)) == pages


def test_every_task_of_developers_is_described() -> None:
    tasks = re.findall(r'@nox\.session.*?\ndef (\w+)\([^)]*\) -> None:\n    (""")?', (ROOT / "noxfile.py").read_text(), re.S)
    assert len(tasks) >= 8
    assert [name for name, docstring in tasks if not docstring] == []
