"""`enopax call`: the custom endpoints that a provider adds, with options drawn from their schemas."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click

from enopax_core.cli.by_provider import ByProvider, left_on
from enopax_core.cli.fields import body_of, options_of
from enopax_core.cli.partial import written_whole
from enopax_core.cli.session import Session, connected
from enopax_core.cli.source import SOURCE, read
from enopax_core.client import CustomEndpoint, Operation, Provider, resources

WAIT_SECONDS = 1  # what takes longer is followed, so that people see how far it is
PIECE = 1 << 16  # bytes
TARGET = click.Path(path_type=Path, dir_okay=False, allow_dash=True)
PLACEHOLDER = re.compile(r"\{(\w+)[^}]*\}")


def _of_provider(provider: Provider) -> click.Command | None:
    if not provider.custom_endpoints:
        return None
    commands = [_command(provider.endpoint, custom) for custom in provider.custom_endpoints]
    return click.Group(provider.endpoint, commands=commands, help=provider.description, subcommand_metavar="ACTION RESOURCE …")


def _command(endpoint: str, custom: CustomEndpoint) -> click.Command:
    placeholders = PLACEHOLDER.findall(custom.path)

    @connected
    def run(
        session: Session, *, resource: str, source: Any = None, to: Path | None = None, file: Any = None, **given: Any
    ) -> None:
        found = session.resource(endpoint, resource)
        # each value fills one segment: a slash in it is part of the value
        segments = [PLACEHOLDER.sub(lambda at: given[f"path_{at[1]}"], one) for one in custom.path.strip("/").split("/")]
        body = {**(read(source) if source else {}), **body_of(custom.body, given, shared=frozenset())}
        ask = resources.custom(endpoint, found.id, custom.method, segments, body if custom.body else None, wait=WAIT_SECONDS)
        if to is not None:
            _download(session, session.client.download(ask.method, ask.path), to)
            return
        if file is not None:
            answer = session.client.upload(ask.method, ask.path, iter(partial(file.read, PIECE), b""))
            session.output.fields({name: value for name, value in answer.items() if name != "success"})
            return
        called = session.client.send(ask)
        body = called.body if called.operation is None else _ended(session.output.follow(session.client, called.operation))
        session.output.fields(body)

    parameters: list[click.Parameter] = [click.Argument(["resource"])]
    parameters += [click.Argument([f"path_{name}"], metavar=name.upper()) for name in placeholders]
    if custom.body:
        parameters += options_of(custom.body, shared=frozenset())
        parameters += [
            click.Option(["--from", "source"], type=SOURCE, help="A YAML or JSON file with fields; - is standard input.")
        ]
    if custom.upload:
        parameters.append(click.Argument(["file"], type=click.File("rb")))
    if custom.download:
        parameters.append(
            click.Option(["--to"], type=TARGET, required=True, help="Where to: a new file; - is standard output.", metavar="FILE")
        )
    name = custom.name.replace("_", "-")
    return click.Command(name, callback=run, params=[*parameters, *left_on(run)], help=custom.description)


def _ended(operation: Operation) -> Any:
    """What the endpoint would have answered within the wait."""
    result = operation.result
    return result if isinstance(result, dict) else {} if result is None else {"result": result}


def _download(session: Session, pieces: Iterator[bytes], to: Path) -> None:
    if str(to) == "-":
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    size = written_whole(to, pieces)
    session.output.fields({"file": str(to), "bytes": size})


call = ByProvider("call", _of_provider, help="Use what a provider adds: enopax call ENDPOINT ACTION RESOURCE.")
