"""`enopax serve`: the server in the foreground."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import BaseModel

from enopax_core.errors import SettingsError
from enopax_core.runtime.settings import RuntimeSettings
from enopax_core.settings import Settings, load_settings, option_of

if TYPE_CHECKING:
    from enopax_core.core.core import Core

log = logging.getLogger(__name__)
HURRY_SECONDS = 3.0  # a stop may take after it was asked for a second time


class ServeCommand(click.Command):
    """`serve` with the options of plugins; they are imported when the command is called or shows its help."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        if not self.params:
            self.params = command_options()
        return super().get_params(ctx)


def command_options() -> list[click.Parameter]:
    """The options of the core's settings that a command line needs, and those that plugins' settings name."""
    fields = Settings.model_fields
    options: list[click.Parameter] = [
        click.Option(["--data-dir"], type=click.Path(path_type=Path), help=f"{fields['data_dir'].description} [data]"),
        click.Option(["--host"], help=f"{fields['host'].description} [127.0.0.1]"),
        click.Option(["--port"], type=int, help=f"{fields['port'].description} [3001]"),
        click.Option(["--no-auth"], is_flag=True, default=None, help="Ask for no API keys; on loopback only."),
        click.Option(["--grace"], type=float, help=f"{fields['grace'].description} [30]"),
        click.Option(["--log-level"], help="What is logged: debug, info, warning or error. [info]"),
        click.Option(["--reload"], is_flag=True, help="Start again when the source of an editable plugin changes."),
        click.Option(["--log-format"], type=click.Choice(["auto", "json", "text"]), help=fields["log_format"].description),
    ]
    taken = {name for option in options for name in option.opts}
    for section, model in plugin_sections()[0].items():
        for name, field in model.model_fields.items():
            option = option_of(model, name)
            if option is not None and option not in taken:  # two plugins: the first one has it, both their variables
                taken.add(option)
                kind = field.annotation if field.annotation in (int, float, bool) else str
                default = field.get_default()
                help_text = f"{field.description or ''}{f' [{default}]' if default is not None else ''}"
                options.append(click.Option([option, f"{section}__{name}"], type=kind, help=help_text))
    return options


def plugin_sections() -> tuple[dict[str, type[BaseModel]], list[str]]:
    """Settings models by section, the core's and the installed plugins', and names of plugins that cannot be imported."""
    found: dict[str, type[BaseModel]] = {"runtime": RuntimeSettings}
    broken: list[str] = []
    for entry in entry_points(group="enopax"):
        try:
            found.update(getattr(entry.load(), "enopax_settings", {}))
        except Exception:  # the registry tells of it when the core is made
            broken.append(entry.name)
    return found, broken


def serve(**options: Any) -> None:
    """Run the server until it is told to stop (SIGTERM or Ctrl-C).

    Every option is also an environment variable (ENOPAX_PORT …) and a key of enopax.toml, which lies in the data
    directory, else in the working directory; options beat environment beats file.
    """
    reload = options.pop("reload", False)
    settings = serve_settings(options, os.environ, Path.cwd())

    import uvloop

    from enopax_core.cli.reload import editable_sources, start_again, wait_for_change
    from enopax_core.telemetry import configure_logging

    configure_logging(settings.log_level, format=settings.log_format)
    sources = editable_sources() if reload else []
    try:
        changed = uvloop.run(_serve(settings, sources))
    except Exception:
        if not sources:
            raise
        log.exception("The server ended; it starts again with the next change.")
        wait_for_change(sources)
        changed = True
    if changed:
        start_again()


def serve_settings(options: Mapping[str, Any], environ: Mapping[str, str], cwd: Path) -> Settings:
    """What the server is to do. `options` as click gives them. Raises SettingsError."""
    given = {name.replace("__", "."): value for name, value in options.items()}
    if given.pop("no_auth", None):
        given["auth"] = False
    settings = load_settings(given, environ, cwd, *plugin_sections())
    if not settings.auth and not _is_loopback(settings.host):
        raise SettingsError(f"--no-auth is for loopback only: {settings.host} can be reached from elsewhere.")
    return settings.model_copy(update={"data_dir": settings.data_dir.expanduser().absolute()})


async def _serve(settings: Settings, sources: Sequence[Path]) -> bool:
    """Serve until a stop is asked for; whether it was because one of the sources has changed."""
    from enopax_core.app import create_app
    from enopax_core.cli.reload import watched
    from enopax_core.core.core import Core
    from enopax_core.server.announce import announce, withdraw
    from enopax_core.server.notify import notify
    from enopax_core.server.protocol import Limits
    from enopax_core.server.run import allow_open_files, listen, run, url_of
    from enopax_core.server.stop import Deadline, Stop

    open_files = allow_open_files()
    core = Core(settings)
    listener = listen(settings.host, settings.port)
    core.host.bound_url = url = url_of(listener)
    stop, deadline, is_ours = Stop(), Deadline(lambda: withdraw(settings.data_dir) if is_ours else None), False

    def ready() -> None:
        content = {"url": url, "pid": os.getpid(), "version": version("enopax-core"), "owner_key_file": str(core.owner_key_file)}
        announce(settings.data_dir, {**content, **core.addresses})
        _greet(core, url)
        notify(os.environ, "READY=1")

    def drain() -> None:
        notify(os.environ, "STOPPING=1")
        core.drain()

    with (
        stop.on_signals(),
        deadline.after(stop, settings.grace, HURRY_SECONDS),
        watched(sources, stop) as changed,
    ):
        async with core:
            is_ours = True  # the data directory is locked: what is announced there is ours, or of a server that was killed
            withdraw(settings.data_dir)
            limits = Limits(connections=max(16, min(Limits().connections, open_files // 2)))
            try:
                await run(
                    create_app(core),
                    listener,
                    ready=ready,
                    drain=drain,
                    grace=settings.grace,
                    stop=stop,
                    limits=limits,
                    trusted_proxies=settings.trusted_proxies,
                )
            finally:
                withdraw(settings.data_dir)
                is_ours = False
    return changed.is_set() and not stop.hurry.is_set()  # asked for twice: somebody wants it to end


def _greet(core: Core, url: str) -> None:
    click.echo(f"Enopax {version('enopax-core')} takes requests at {url}")
    for name, address in core.addresses.items():
        click.echo(f"  {name}: {address['host']}:{address['port']}")
    click.echo(f"  owner's API key: {core.owner_key_file}")
    sys.stdout.flush()


def _is_loopback(host: str) -> bool:
    from enopax_core.api.limits import is_loopback

    return host == "localhost" or (bool(host) and is_loopback(host))


command = ServeCommand("serve", callback=serve, help=serve.__doc__)
