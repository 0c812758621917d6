"""What every command that speaks to a server shares: where it is, who asks, and how answers are shown."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from enopax_core.cli.output import Output
from enopax_core.cli.servers import find
from enopax_core.client import Client, Page, Patience, Resource, resources
from enopax_core.errors import Conflict, EnopaxError, NotFound

F = TypeVar("F", bound=Callable[..., Any])
PROJECT = "Default Project"  # where the web platform puts what has no project (contract)


@dataclass(frozen=True, kw_only=True)
class Session:
    """A client that is signed in, and the person at the terminal."""

    client: Client
    output: Output
    organisation: str | None
    project: str

    def place(self) -> tuple[str, str]:
        """Organisation and project. Raises UsageError that says how to name them."""
        if self.organisation is None:
            raise click.UsageError("Which organisation? Give --org NAME, or set ENOPAX_ORG.")
        return self.organisation, self.project

    def everything(self, page: Callable[[str | None], Any]) -> Iterator[Any]:
        """All items of a list, page by page; `page` makes the request for a token."""
        token: str | None = None
        while True:
            found: Page[Any] = self.client.send(page(token))
            yield from found.items
            if found.next is None:
                return
            token = found.next

    def resources(self, endpoint: str, place: tuple[str, str], *, status: str | None = None) -> Iterator[Resource]:
        """All resources of a provider in a project."""
        return self.everything(lambda token: resources.page(endpoint, *place, status=status, token=token, size=1000))

    def resource(self, endpoint: str, given: str, *, status: str | None = None) -> Resource:
        """A resource by its id, or by its name among the live ones of the project (or those of a status).

        Raises NotFound; Conflict where several have the name, as deleted ones may.
        """
        try:
            return self.client.send(resources.show(endpoint, given))
        except NotFound:
            if self.organisation is None:
                raise NotFound(f"There is no {endpoint} with the id {given}. To find it by name, give --org NAME.") from None
        place = self.place()
        named = [found for found in self.resources(endpoint, place, status=status) if found.name == given]
        live = [found for found in named if found.status != "deleting"] or named  # a name is free as soon as its owner goes
        if len(live) > 1:
            raise Conflict(f"Several are named {given}; name one by its id: {', '.join(found.id for found in live)}.")
        for found in live:
            return self.client.send(resources.show(endpoint, found.id))
        what = f"{status} {endpoint}" if status else endpoint
        raise NotFound(f"There is no {what} named {given} in {place[0]} / {place[1]}; see enopax list {endpoint}.")


OPTIONS = (
    click.option("--profile", help="A server that you have signed in to with `enopax login`."),
    click.option("--data-dir", type=click.Path(path_type=Path), help="A local installation. [data]"),
    click.option("--org", envvar="ENOPAX_ORG", help="Organisation."),
    click.option("--project", envvar="ENOPAX_PROJECT", help=f"Project. [{PROJECT}]"),
    click.option("--output", type=click.Choice(["table", "json"]), default="table", help="For people or for programs. [table]"),
)


def connected(function: F) -> F:
    """Give a command the options that say where the server is, and a `Session` as its first argument."""

    @functools.wraps(function)
    def command(
        *, profile: str | None, data_dir: Path | None, org: str | None, project: str | None, output: str, **given: Any
    ) -> Any:
        found = find(profile, data_dir)
        with Client(found.url, found.key, patience=Patience() if found.runs else Patience(tries=1)) as client:
            session = Session(
                client=client,
                output=Output(json=output == "json"),
                organisation=org or found.organisation,
                project=project or found.project or PROJECT,
            )
            try:
                return function(session, **given)
            except EnopaxError as error:
                raise found.explained(error) from error

    for option in reversed(OPTIONS):
        command = option(command)
    return cast("F", command)
