"""The command line. Commands are imported when they are called: `enopax --help` must not pay for the server.

Built on click itself: options drawn from a server's schemas at run time are parameters made one by one, which Typer's signatures
cannot say, and Typer carries a private copy of click that commands of plugins could not be mixed with.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points, version

import click
from click.shell_completion import CompletionItem

from enopax_core.cli.exits import status_of
from enopax_core.errors import EnopaxError, StartupError

OWN: Mapping[str, tuple[str, str]] = {
    "serve": ("enopax_core.cli.serve:command", "Run the server."),
    "providers": ("enopax_core.cli.look:providers", "List what can be provisioned."),
    "provision": ("enopax_core.cli.provision:provision", "Provision a resource."),
    "list": ("enopax_core.cli.look:list_", "List a project's resources."),
    "show": ("enopax_core.cli.look:show", "Show a resource."),
    "metrics": ("enopax_core.cli.look:metrics", "Measure a resource now."),
    "logs": ("enopax_core.cli.look:logs", "Show the latest lines of a resource's log."),
    "update": ("enopax_core.cli.provision:update", "Change a resource; shows the difference first."),
    "delete": ("enopax_core.cli.change:delete", "Delete a resource; asks first."),
    "restore": ("enopax_core.cli.change:restore", "Bring a deleted resource back."),
    "credentials": ("enopax_core.cli.change:credentials", "Print a resource's secrets."),
    "connect": ("enopax_core.cli.change:connect", "Start the right client."),
    "call": ("enopax_core.cli.call:call", "Use what a provider adds, such as repack or restart."),
    "operations": ("enopax_core.cli.operations:group", "List, watch, cancel and retry operations."),
    "events": ("enopax_core.cli.operations:events", "Follow a project."),
    "keys": ("enopax_core.cli.keys:group", "Make, list, rotate and revoke API keys."),
    "audit": ("enopax_core.cli.audit:group", "Show, verify and export who did what."),
    "apply": ("enopax_core.cli.declare:apply", "Bring a project to what a file says."),
    "export": ("enopax_core.cli.declare:export", "Write a file from what exists."),
    "login": ("enopax_core.cli.login:command", "Sign in to a server elsewhere."),
    "plugin": ("enopax_core.cli.plugin:group", "Write plugins, prove them, see which are installed."),
    "backup": ("enopax_core.cli.backup:backup", "Back up the whole installation."),
    "doctor": ("enopax_core.cli.doctor:command", "Examine the installation, and mend what is safe."),
    "restore-backup": ("enopax_core.cli.backup:restore", "Restore a backup onto an empty directory."),
    "rotate-secrets": ("enopax_core.cli.rotate_secrets:command", "Seal every stored secret under a new key."),
    "recover-owner-key": ("enopax_core.cli.recover_owner_key:command", "Make another owner's key where none works."),
    "completion": ("enopax_core.cli.completion:command", "Print the completion script of a shell."),
}
GROUP = "enopax.commands"


class Commands(click.Group):
    """The core's commands and those of plugins, by name; loaded only when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*OWN, *_plugins()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in OWN:
            module, _, attribute = OWN[cmd_name][0].partition(":")
            command: click.Command = getattr(importlib.import_module(module), attribute)
            return command
        entry = _plugins().get(cmd_name)
        return None if entry is None else _loaded(entry)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Without importing a command."""
        offered = [CompletionItem(name, help=self._summary(name)) for name in self.list_commands(ctx)]
        return [
            *(item for item in offered if item.value.startswith(incomplete)),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.list_commands(ctx), 1)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean {near[0]}?", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._summary(name)) for name in self.list_commands(ctx)])

    def _summary(self, name: str) -> str:
        return OWN[name][1] if name in OWN else _origin(_plugins()[name])


@click.command(cls=Commands)
@click.version_option(version("enopax-core"), prog_name="enopax")
def group() -> None:
    """Provision infrastructure: Git repositories, databases, storage and whatever a plugin adds."""


def main() -> None:
    """Entry point `enopax`. An error is one sentence on standard error and a status other than 0."""
    try:
        group(prog_name="enopax")
    except Exception as error:
        logging.getLogger(__name__).debug("The command failed.", exc_info=error)
        click.echo(f"enopax: {sentence(error)}", err=True)
        raise SystemExit(status_of(error)) from None


def sentence(error: BaseException) -> str:
    """What to tell the person at the terminal."""
    while isinstance(error, BaseExceptionGroup):  # task groups wrap whatever is raised inside them
        error = next((part for part in error.exceptions if isinstance(part, EnopaxError)), error.exceptions[0])
    if isinstance(error, EnopaxError):
        faults = "".join(f"\n  {fault.pointer or '/'}: {fault.message}" for fault in error.faults)
        return error.message + faults
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}." if error.filename else f"{error.strerror}."
    return f"Unexpected {type(error).__name__}: {' '.join(str(error).split())} (a bug; --log-level debug shows where)."


def _plugins() -> Mapping[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _origin(entry: EntryPoint) -> str:
    return f"From {entry.dist.name}." if entry.dist is not None else "From a plugin."


def _loaded(entry: EntryPoint) -> click.Command:
    try:
        command = entry.load()
    except Exception as error:
        raise StartupError(f"The command {entry.name} cannot be loaded from {entry.value}: {error}.") from error
    if not isinstance(command, click.Command):
        raise StartupError(f"The command {entry.name} ({entry.value}) is not a click command.")
    return command
