"""`enopax serve`: the server in the foreground."""

from __future__ import annotations

import os
import sys
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from enopax_core.errors import SettingsError
from enopax_core.settings import Settings, load_settings


def command_options() -> list[click.Parameter]:
    """The options of the core's settings that a command line needs, and those that plugins' settings name."""
    fields = Settings.model_fields
    options: list[click.Parameter] = [
        click.Option(["--data-dir"], type=click.Path(path_type=Path), help=f"{fields['data_dir'].description} [data]"),
        click.Option(["--host"], help=f"{fields['host'].description} [127.0.0.1]"),
        click.Option(["--port"], type=int, help=f"{fields['port'].description} [3001]"),
        click.Option(["--no-auth"], is_flag=True, default=None, help="Ask for no API keys; on loopback only."),
        click.Option(["--grace"], type=float, help=f"{fields['grace'].description} [30]"),
        click.Option(["--log-level"], help=f"{fields['log_level'].description} [info]"),
    ]
    for section, model in plugin_sections().items():
        for name, field in model.model_fields.items():
            option = _option(field)
            if option is not None:
                kind = int if field.annotation is int else str
                help_text = f"{field.description} [{field.get_default()}]"
                options.append(click.Option([option, f"{section}__{name}"], type=kind, help=help_text))
    return options


def plugin_sections() -> dict[str, type[BaseModel]]:
    """Settings models of the installed plugins, by section; a plugin that cannot be imported has none here."""
    found: dict[str, type[BaseModel]] = {}
    for entry in entry_points(group="enopax"):
        try:
            found.update(getattr(entry.load(), "enopax_settings", {}))
        except Exception:  # noqa: S112  # the registry reports it when the core is made
            continue
    return found


def serve(**options: Any) -> None:
    """Run the server until it is told to stop (SIGTERM or Ctrl-C).

    Every option is also an environment variable (ENOPAX_PORT …) and a key of enopax.toml, which lies in the data
    directory, else in the working directory; options beat environment beats file.
    """
    given = {name.replace("__", "."): value for name, value in options.items()}
    if given.pop("no_auth", None):
        given["auth"] = False
    settings = load_settings(given, os.environ, Path.cwd(), plugin_sections())
    if not settings.auth and not _is_loopback(settings.host):
        raise SettingsError(f"--no-auth is for loopback only: {settings.host} can be reached from elsewhere.")
    settings = settings.model_copy(update={"data_dir": settings.data_dir.expanduser().absolute()})

    import uvloop

    uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    from enopax_core.app import create_app
    from enopax_core.core.core import Core
    from enopax_core.server.announce import announce, withdraw
    from enopax_core.server.run import listen, run
    from enopax_core.telemetry import configure_logging

    configure_logging(settings.log_level)
    core = Core(settings)
    listener = listen(settings.host, settings.port)
    port = listener.getsockname()[1]
    url = f"http://{f'[{settings.host}]' if ':' in settings.host else settings.host}:{port}"
    core.host.bound_url = url

    def ready() -> None:
        announce(
            settings.data_dir,
            {
                "url": url,
                "pid": os.getpid(),
                "version": version("enopax-core"),
                "owner_key_file": str(core.owner_key_file),
                **core.addresses,
            },
        )
        click.echo(f"Enopax {version('enopax-core')} takes requests at {url}")
        for name, address in core.addresses.items():
            click.echo(f"  {name}: {address['host']}:{address['port']}")
        click.echo(f"  owner's API key: {core.owner_key_file}")
        sys.stdout.flush()

    async with core:
        app = create_app(core)
        try:
            await run(app, listener, ready=ready, drain=core.drain, grace=settings.grace)
        finally:
            withdraw(settings.data_dir)


def _option(field: FieldInfo) -> str | None:
    extra = field.json_schema_extra
    option = extra.get("option") if isinstance(extra, dict) else None
    return option if isinstance(option, str) else None


def _is_loopback(host: str) -> bool:
    from enopax_core.api.limits import is_loopback

    return host == "localhost" or (bool(host) and is_loopback(host))


command = click.Command("serve", params=command_options(), callback=serve, help=serve.__doc__)
