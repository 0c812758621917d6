"""What every command that speaks to a server shares: where it is, who asks, and how answers are shown."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from enopax_core.cli.output import Output
from enopax_core.cli.profiles import Profile, file_of, load
from enopax_core.client import Client, Page, Resource, resources
from enopax_core.errors import NotFound, SettingsError, Unreachable

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


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

    def resource(self, endpoint: str, given: str) -> Resource:
        """A resource by its id, or by its name in the organisation and project. Raises NotFound."""
        try:
            return self.client.send(resources.show(endpoint, given))
        except NotFound:
            if self.organisation is None:
                raise NotFound(f"There is no {endpoint} with the id {given}. To find it by name, give --org NAME.") from None
        organisation, project = self.place()
        for found in self.everything(lambda token: resources.page(endpoint, organisation, project, token=token, size=1000)):
            if found.name == given:
                return self.client.send(resources.show(endpoint, found.id))
        raise NotFound(f"There is no {endpoint} named {given} in {organisation} / {project}.")


OPTIONS = (
    click.option("--profile", envvar="ENOPAX_PROFILE", help="A server that you have signed in to with `enopax login`."),
    click.option("--data-dir", type=click.Path(path_type=Path), envvar="ENOPAX_DATA_DIR", help="A local installation. [data]"),
    click.option("--org", envvar="ENOPAX_ORG", help="Organisation."),
    click.option("--project", envvar="ENOPAX_PROJECT", default="Default Project", help="Project. [Default Project]"),
    click.option("--output", type=click.Choice(["table", "json"]), default="table", help="For people or for programs. [table]"),
)


def connected(function: F) -> F:
    """Give a command the options that say where the server is, and a `Session` as its first argument."""

    @functools.wraps(function)
    def command(*, profile: str | None, data_dir: Path | None, org: str | None, project: str, output: str, **given: Any) -> Any:
        found = find(profile, data_dir)
        with Client(found.url, found.key) as client:
            session = Session(client=client, output=Output(json=output == "json"), organisation=org, project=project)
            return function(session, **given)

    for option in reversed(OPTIONS):
        command = option(command)
    return cast("F", command)


def find(profile: str | None, data_dir: Path | None) -> Profile:
    """The server that is meant. Raises SettingsError, Unreachable with what to do."""
    if profile is not None:
        profiles = load(file_of(os.environ))
        if profile not in profiles:
            known = f" Known are {', '.join(sorted(profiles))}." if profiles else ""
            raise SettingsError(f"There is no profile {profile}.{known} Sign in with: enopax login URL --profile {profile}")
        return profiles[profile]
    directory = data_dir or Path("data")
    try:
        announced = json.loads((directory / "server.json").read_text("utf-8"))
        key = Path(announced["owner_key_file"]).read_text("utf-8").strip()
    except FileNotFoundError:
        raise Unreachable(
            f"No server runs on {directory}: start one with enopax serve, or name another with --data-dir or --profile."
        ) from None
    return Profile(url=announced["url"], key=key)
