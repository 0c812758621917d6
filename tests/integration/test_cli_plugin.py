"""`enopax plugin`: what it writes works, what it checks is reported."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from enopax_core.cli.scaffold import scaffold
from enopax_core.errors import StartupError

PLUGIN = [sys.executable, "-m", "enopax_core.cli", "plugin"]
FILES = ["README.md", "pyproject.toml", "src/enopax_object_store/__init__.py", "src/enopax_object_store/py.typed"]
FILES = [*FILES, "tests/test_conformance.py"]


def plugin(*arguments: str | Path) -> tuple[int, str, str]:
    """Run a command; its status and what it printed."""
    ended = subprocess.run([*PLUGIN, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)
    return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plugin as it was just written."""
    return scaffold("object-store", tmp_path)


def change(folder: Path, old: str, new: str) -> None:
    """Replace a piece of the provider."""
    module = folder / "src" / "enopax_object_store" / "__init__.py"
    text = module.read_text()
    assert old in text
    module.write_text(text.replace(old, new))


def test_a_plugin_is_written_whole(tmp_path: Path) -> None:
    status, said, _ = plugin("new", "object-store", "--directory", tmp_path)
    folder = tmp_path / "enopax_object_store"
    assert status == 0
    assert f"enopax plugin check {folder}" in said
    assert sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()) == FILES


def test_what_was_written_is_typed_and_tidy(folder: Path) -> None:
    for command in (
        ["mypy", "--strict", "src", "tests"],
        ["ruff", "check", "--isolated", "--select", "E,F,W,I,UP,B,RUF", "--line-length", "120", "."],
        ["ruff", "format", "--isolated", "--line-length", "120", "--check", "."],
    ):
        ended = subprocess.run(
            [sys.executable, "-m", *command], cwd=folder, env={"MYPYPATH": "src"}, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("name", ["Box", "object_store", "-box", "a" * 41, "keys", ""])
def test_a_name_that_cannot_be_an_endpoint_is_refused_and_nothing_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="lower-case words joined by hyphens"):
        scaffold(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_is_left_alone(folder: Path) -> None:
    (folder / "README.md").write_text("mine")
    with pytest.raises(StartupError, match="is there already"):
        scaffold("object-store", folder.parent)
    assert (folder / "README.md").read_text() == "mine"


def test_what_was_written_passes_the_kit_unchanged(folder: Path) -> None:
    status, said, _ = plugin("check", folder)
    assert status == 0, said
    assert said.startswith("ObjectStore\n  ✓ the schema accepts what the model accepts\n")
    assert "promises kept, 0 broken" in said


def test_a_broken_promise_is_reported_with_what_to_change(folder: Path) -> None:
    change(folder, "folder.mkdir(parents=True, exist_ok=True)", "folder.mkdir(parents=True)")
    status, said, complained = plugin("check", folder)
    assert status == 6
    assert "  ✗ provision survives a kill at every step\n      provision was killed" in said
    assert "FileExistsError" in said
    assert "breaks" in complained


def test_a_program_gets_the_report_as_json(folder: Path) -> None:
    change(folder, 'health="missing"', 'health="ready"')
    status, said, _ = plugin("check", folder, "--output", "json")
    promises: list[dict[str, Any]] = json.loads(said)
    broken = [promise for promise in promises if promise["outcome"] == "broken"]
    assert status == 6
    assert [promise["promise"] for promise in broken] == ["status tells when the backend is gone"]
    assert "do not answer from memory" in broken[0]["message"]


def test_configurations_are_made_out_of_the_schema_where_there_are_no_tests(folder: Path) -> None:
    shutil.rmtree(folder / "tests")
    status, said, _ = plugin("check", folder)
    assert status == 0, said
    assert said.startswith("object-store\n")
    assert "✓ update converges" in said


def test_a_field_that_the_schema_gives_no_example_for_is_asked_for(folder: Path) -> None:
    shutil.rmtree(folder / "tests")
    change(folder, 'greeting: str = Field(default="hello", max_length=200,', "greeting: str = Field(max_length=200,")
    status, said, _ = plugin("check", folder)
    assert status == 6
    assert "The schema gives no example for 'greeting': add one, or say a configuration with --config." in said
    status, said, _ = plugin("check", folder, "--config", '{"greeting": "hi"}')
    assert status == 0, said


def test_a_plugin_that_the_core_refuses_is_reported(folder: Path) -> None:
    shutil.rmtree(folder / "tests")
    change(folder, "def inventory(self)", "def inventry(self)")
    status, said, _ = plugin("check", folder)
    assert status == 6
    assert "inventry is no provider hook; did you mean inventory?" in said


def test_an_installed_plugin_is_checked_by_its_name() -> None:
    status, said, _ = plugin("check", "example")
    assert status == 0, said
    assert said.startswith("example\n")


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["check", "nothing-of-this-name"], 3, "There is neither a folder nor a plugin nothing-of-this-name; installed are"),
        (["check", "example", "--config", "{"], 2, "--config must be a JSON object"),
    ],
)
def test_what_cannot_be_checked_is_said(arguments: list[str], status: int, sentence: str) -> None:
    ended, _, complained = plugin(*arguments)
    assert (ended, sentence in complained) == (status, True), complained


def test_a_folder_without_a_plugin_says_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    status, _, complained = plugin("check", tmp_path)
    assert status == 3
    assert "announces no plugin: write [project.entry-points.enopax]" in complained


def test_installed_plugins_are_listed() -> None:
    status, said, _ = plugin("list", "--output", "json")
    assert status == 0
    assert {("example", "used"), ("git", "used")} <= {(found["name"], found["state"]) for found in json.loads(said)}


def test_a_plugin_that_cannot_be_used_or_is_off_is_listed_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "strange-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[enopax]\nstrange = nowhere\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("ENOPAX_DISABLED_PLUGINS", "git")
    status, said, complained = plugin("list", "--output", "json", "--data-dir", tmp_path / "data")
    found = {one["name"]: one for one in json.loads(said)}
    assert (status, complained) == (0, "")
    assert found["strange"]["state"] == "broken"
    assert found["strange"]["problems"] == ["No module named 'nowhere'"]
    assert (found["git"]["state"], found["git"]["providers"]) == ("off", [])
    assert not (tmp_path / "data").exists()
