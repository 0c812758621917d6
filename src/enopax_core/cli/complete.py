"""What a shell offers behind a command: endpoints and names of resources, asked of the server that is meant."""

from __future__ import annotations

import contextlib
import os

import click

from enopax_core.cli.servers import find
from enopax_core.cli.session import PROJECT
from enopax_core.client import Client, Patience, providers, resources
from enopax_core.errors import EnopaxError

ONCE = Patience(tries=1)  # somebody waits with a finger on the key


def endpoints(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Providers that begin so; none without a server."""
    with contextlib.suppress(EnopaxError):
        found = find(ctx.params.get("profile"), ctx.params.get("data_dir"))
        with Client(found.url, patience=ONCE) as client:
            known = [provider.endpoint for provider in client.send(providers.everything())]
        return [endpoint for endpoint in known if endpoint.startswith(incomplete)]
    return []


def names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Resources of the endpoint before it that begin so, in the organisation and project that are meant."""
    with contextlib.suppress(EnopaxError):
        found = find(ctx.params.get("profile"), ctx.params.get("data_dir"))
        organisation = ctx.params.get("org") or os.environ.get("ENOPAX_ORG") or found.organisation
        project = ctx.params.get("project") or os.environ.get("ENOPAX_PROJECT") or found.project or PROJECT
        endpoint = str(ctx.params.get("endpoint") or ctx.info_name)  # where a command is made for each, it is called so
        if organisation is None:
            return []
        with Client(found.url, found.key, patience=ONCE) as client:
            page = client.send(resources.page(endpoint, organisation, project, size=1000))
        return sorted(one.name for one in page.items if one.name.startswith(incomplete))
    return []


ENDPOINT = click.argument("endpoint", shell_complete=endpoints)
RESOURCE = click.argument("resource", shell_complete=names)
