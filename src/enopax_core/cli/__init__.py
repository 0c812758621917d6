"""The command line. Commands are imported when they are called: `enopax --help` must not pay for the server."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points, version

import click

from enopax_core.errors import EnopaxError

OWN: Mapping[str, tuple[str, str]] = {
    "serve": ("enopax_core.cli.serve:command", "Run the server."),
    "rotate-secrets": ("enopax_core.cli.rotate_secrets:command", "Seal every stored secret under a new key."),
}
GROUP = "enopax.commands"


class Commands(click.Group):
    """The core's commands and those of plugins, by name; loaded only when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*OWN, *_plugins()])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in OWN:
            module, _, attribute = OWN[cmd_name][0].partition(":")
            command: click.Command = getattr(importlib.import_module(module), attribute)
            return command
        entry = _plugins().get(cmd_name)
        return None if entry is None else entry.load()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, OWN[name][1] if name in OWN else "A plugin's command.") for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.command(cls=Commands)
@click.version_option(version("enopax-core"), prog_name="enopax")
def group() -> None:
    """Provision infrastructure: Git repositories, databases, storage and whatever a plugin adds."""


def main() -> None:
    """Entry point `enopax`. An error is one sentence on standard error and status 1."""
    try:
        group(prog_name="enopax")
    except EnopaxError as error:
        click.echo(f"enopax: {error.message}", err=True)
        raise SystemExit(1) from None


def _plugins() -> Mapping[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
