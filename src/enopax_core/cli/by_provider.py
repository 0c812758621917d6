"""Commands whose options are drawn from the schemas of the server that is meant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from enopax_core.cli.servers import find
from enopax_core.cli.session import OPTIONS
from enopax_core.client import Client, Patience, Provider, providers
from enopax_core.errors import EnopaxError

ARGUMENTS, PROVIDERS = f"{__name__}.arguments", f"{__name__}.providers"  # of one call, in click's context
Make = Callable[[Provider], click.Command | None]


class ByProvider(click.Group):
    """A command for each provider of the server, made when it is called: `enopax provision ENDPOINT …`.

    Options that say which server is meant may stand before the endpoint or behind it.
    """

    def __init__(self, name: str, make: Make, *, help: str) -> None:
        super().__init__(name, help=help, subcommand_metavar="ENDPOINT [OPTIONS] …")
        self.make = make
        self._shared = shared_options()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Options before the endpoint are the provider's command's: move them behind it."""
        at = self._endpoint_at(args)
        if at is not None:
            args = [args[at], *args[:at], *args[at + 1 :]]
        ctx.meta[ARGUMENTS] = args
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        try:
            return sorted(self._providers(ctx))
        except EnopaxError:
            return []  # help is shown without a server too

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        provider = self._providers(ctx).get(cmd_name)
        return None if provider is None else self.make(provider)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            known = ", ".join(self.list_commands(ctx))
            raise click.UsageError(f"There is no provider {args[0]} that offers this; there are: {known}.", ctx) from error

    def _endpoint_at(self, args: list[str]) -> int | None:
        """Where the first word stands that is neither an option nor the value of one."""
        flags = {flag for option in self._shared for flag in option.opts}
        at = 0
        while at < len(args) and args[at].startswith("-"):
            if args[at] not in flags and args[at].partition("=")[0] not in flags:
                return None
            at += 1 if "=" in args[at] else 2
        return at if 0 < at < len(args) else None

    def _providers(self, ctx: click.Context) -> Mapping[str, Provider]:
        if PROVIDERS not in ctx.meta:
            options = _given(self._shared, ctx.meta.get(ARGUMENTS, []))
            found = find(options["profile"], options["data_dir"])
            try:
                with Client(found.url, patience=Patience() if found.runs else Patience(tries=1)) as client:
                    ctx.meta[PROVIDERS] = {provider.endpoint: provider for provider in client.send(providers.everything())}
            except EnopaxError as error:
                raise found.explained(error) from error
        known: Mapping[str, Provider] = ctx.meta[PROVIDERS]
        return known


def shared_options() -> list[click.Option]:
    """The options that decorators would leave on a function, as values."""

    def nothing() -> None: ...

    for decorator in reversed(OPTIONS):
        decorator(nothing)
    return left_on(nothing)


def left_on(function: Any) -> list[click.Option]:
    """The options that decorators have left on a function, in the order in which they stand."""
    found: list[click.Option] = function.__click_params__  # click's own way of keeping them
    return found[::-1]


def _given(options: list[click.Option], arguments: list[str]) -> dict[str, Any]:
    """What the options have among arguments that other options share with them."""
    settings = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
    reader = click.Command("read", params=list(options), context_settings=settings)
    return reader.make_context("read", list(arguments), resilient_parsing=True).params
