"""`enopax plugin`: write a plugin, prove it, see which ones are installed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from textwrap import indent
from typing import Any

import click

from enopax_core.cli.output import Output
from enopax_core.errors import NotFound, PermanentError, StartupError

MARKS = {"kept": "✓", "broken": "✗", "not offered": "–"}

output = click.option("--output", type=click.Choice(["table", "json"]), default="table", help="For people, or for programs.")


@click.group("plugin")
def group() -> None:
    """Write plugins, prove them, and see which ones are installed."""


@group.command()
@click.argument("name")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), default=".", help="Where its folder is put. [.]")
def new(name: str, directory: Path) -> None:
    """Write a plugin with one provider that installs, serves and passes the kit; NAME becomes its endpoint."""
    from enopax_core.cli.scaffold import scaffold

    folder = scaffold(name, directory)
    click.echo(f"{folder} is a plugin that works. Go on with:")
    click.echo(f"  pip install --editable '{folder}[test]'")
    click.echo(f"  enopax plugin check {folder}")
    click.echo("  enopax serve --reload")


@group.command()
@click.argument("target")
@click.option("--config", help="A valid configuration as JSON, where the schema's own examples are not enough.")
@click.option("--changed", help="Another one, to update to.")
@output
def check(target: str, config: str | None, changed: str | None, output: str) -> None:
    """Run the conformance kits on a plugin: a folder, or the name of an installed one.

    A folder's own conformance tests are run if it has some; otherwise configurations are made out of the schema. The status
    is 6 when a promise is broken.
    """
    for option, value in (("--config", config), ("--changed", changed)):
        _check_json(option, value)
    if find_spec("pytest") is None:
        raise StartupError("The kits are pytest tests: pip install 'enopax-core[testing]'.")
    given = [part for option, value in (("--config", config), ("--changed", changed)) if value for part in (option, value)]
    found = []
    for promise in _run(target, given):
        found.append(promise)
        if output == "table":
            _show(promise, found[-2]["of"] if len(found) > 1 else None)
    counted = Counter(promise["outcome"] for promise in found)
    if output == "json":
        Output(json=True).value(found)
    else:
        click.echo(f"\n{counted['kept']} promises kept, {counted['broken']} broken, {counted['not offered']} not offered.")
    if not counted["kept"] and not counted["broken"]:
        raise NotFound(f"{target} has nothing that the kits could test.")
    if counted["broken"]:
        raise PermanentError(f"{target} breaks {counted['broken']} of its promises.")


@group.command("list")
@click.option("--data-dir", type=click.Path(path_type=Path), help="The installation whose settings are meant. [data]")
@output
def list_(data_dir: Path | None, output: str) -> None:
    """List the installed plugins: what they offer, which are switched off, and what is wrong with those that cannot be used."""
    from enopax_core.cli.installed import installed

    rows = installed(data_dir)
    Output(json=output == "json").rows(rows, ("name", "distribution", "version", "state", "providers", "problems"))


def _run(target: str, given: list[str]) -> Iterator[dict[str, Any]]:
    """Each promise as it was tested, in a process of its own: a plugin under test must not change this one."""
    command = [sys.executable, "-m", "enopax_core.testing.check", target, *given]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stdout is not None  # noqa: S101  # it was asked for
        for line in process.stdout:
            promise = json.loads(line)
            if "error" in promise:
                raise NotFound(promise["error"])
            yield promise
    if process.returncode:
        raise StartupError(f"The kits could not be run on {target} (status {process.returncode}); standard error says why.")


def _show(promise: dict[str, Any], shown: str | None) -> None:
    if promise["of"] != shown:
        click.secho(promise["of"], bold=True)
    colour = {"kept": "green", "broken": "red"}.get(promise["outcome"])
    click.secho(f"  {MARKS[promise['outcome']]} {promise['promise']}", fg=colour)
    if promise["outcome"] == "broken":
        for text in (promise["message"], promise.get("log", "")):
            if text:
                click.echo(indent(text.strip(), "      "))


def _check_json(option: str, value: str | None) -> None:
    try:
        json.loads(value or "{}")
    except ValueError as error:
        raise click.UsageError(f"{option} must be a JSON object: {error}.") from error
