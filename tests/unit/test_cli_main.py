"""The command line itself: quick, extensible, and never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from enopax_core import cli
from enopax_core.cli import sentence
from enopax_core.errors import DataDirectoryInUse, EnopaxError

ENOPAX = [sys.executable, "-m", "enopax_core.cli"]


@pytest.fixture
def plugin(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine where a distribution with commands is installed."""
    (tmp_path / "strange.py").write_text(
        "import click\nprint('imported')\n"
        "@click.command()\ndef greet():\n    click.echo('Hello.')\n"
        "@click.command()\ndef fail():\n    raise OSError(28, 'No space left on device', '/full')\n"
        "@click.command()\ndef crash():\n    raise ValueError('two\\nlines')\n"
        "number = 3\n"
    )
    metadata = tmp_path / "strange-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[enopax.commands]\ngreet = strange:greet\nfail = strange:fail\ncrash = strange:crash\n"
        "number = strange:number\nbroken = nowhere:command\nserve = strange:greet\n"
    )
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


def enopax(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*ENOPAX, *arguments], capture_output=True, text=True, check=False, env=env, timeout=60)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["srve"]], ids=" ".join)
def test_help_imports_nothing_that_only_a_server_needs(arguments: list[str]) -> None:
    said = subprocess.run(
        [sys.executable, "-X", "importtime", *ENOPAX[1:], *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in said.stderr.splitlines() if "|" in line}
    assert "click" in imported
    heavy = {
        "uvicorn",
        "starlette",
        "pydantic",
        "jsonschema",
        "asyncssh",
        "httpx2",
        "rich",
        "asyncio",
        "prometheus_client",
        "enopax_git",
    }
    assert not imported & heavy


def test_the_version_is_that_of_the_core() -> None:
    assert enopax("--version").stdout == f"enopax, version {version('enopax-core')}\n"


def test_help_lists_the_commands_of_the_core_and_of_plugins_without_importing_them(plugin: dict[str, str]) -> None:
    said = enopax("--help", env=plugin).stdout
    assert "serve" in said
    assert "Run the server." in said
    assert "greet" in said
    assert "From strange." in said
    assert "imported" not in said


def test_a_command_of_a_plugin_runs_by_the_name_of_its_entry_point(plugin: dict[str, str]) -> None:
    assert enopax("greet", env=plugin).stdout == "imported\nHello.\n"


def test_a_plugin_cannot_take_the_name_of_a_command_of_the_core(plugin: dict[str, str]) -> None:
    assert "Run the server until" in enopax("serve", "--help", env=plugin).stdout


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("fail", "enopax: No space left on device: /full.\n"),
        ("crash", "enopax: Unexpected ValueError: two lines (a bug; --log-level debug shows where).\n"),
        ("number", "enopax: The command number (strange:number) is not a click command.\n"),
        ("broken", "enopax: The command broken cannot be loaded from nowhere:command: No module named 'nowhere'.\n"),
    ],
)
def test_an_error_is_one_sentence_and_a_status(plugin: dict[str, str], command: str, said: str) -> None:
    ended = enopax(command, env=plugin)
    assert (ended.returncode, ended.stderr) == (1, said)


def test_a_command_that_does_not_exist_is_answered_with_the_nearest() -> None:
    ended = enopax("srve")
    assert ended.returncode == 2
    assert ended.stderr.endswith("Error: No such command 'srve'. Did you mean serve?\n")
    assert enopax("qqqqqq").stderr.endswith("Error: No such command 'qqqqqq'.\n")


@pytest.mark.parametrize("name", list(cli.OWN))
def test_every_command_of_the_core_can_be_loaded_and_explains_itself(name: str) -> None:
    command = cli.group.get_command(click.Context(cli.group), name)
    assert isinstance(command, click.Command)
    assert command.help
    assert cli.OWN[name][1].endswith(".")


def test_what_a_task_group_wraps_is_told_as_if_it_were_bare() -> None:
    wrapped = BaseExceptionGroup("outer", [ValueError("x"), ExceptionGroup("inner", [DataDirectoryInUse("In use.")])])
    assert sentence(ExceptionGroup("one", [DataDirectoryInUse("In use.")])) == "In use."
    assert sentence(ExceptionGroup("two", [ValueError("x"), EnopaxError("Known.")])) == "Known."
    assert "ValueError: x" in sentence(wrapped)
