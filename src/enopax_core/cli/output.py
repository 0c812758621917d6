"""Tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from enopax_core.client import Client, Operation
from enopax_core.client.values import Value
from enopax_core.errors import Cancelled, PermanentError

WIDE = 1000  # columns where nobody looks: a file or a pipe gets whole values


@dataclass(frozen=True, kw_only=True)
class Output:
    """How answers are shown."""

    json: bool

    def rows(self, found: Iterable[Any], columns: Sequence[str]) -> None:
        """A list: one row each, or one array."""
        items = [plain(one) for one in found]
        if self.json:
            self.value(items)
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column.upper(), overflow="fold")
        for item in items:
            table.add_row(*(Text(_cell(item.get(column))) for column in columns))  # names are data, not markup
        Console(width=None if sys.stdout.isatty() else WIDE).print(table)

    def fields(self, found: Any) -> None:
        """One thing: a line for each field, or one object."""
        item = plain(found)
        if self.json:
            self.value(item)
            return
        width = max((len(name) for name in item), default=0)
        for name, value in item.items():
            click.echo(f"{name:<{width}}  {_cell(value)}")

    def value(self, found: Any) -> None:
        """JSON, whichever way was asked for."""
        click.echo(json.dumps(plain(found), indent=2, ensure_ascii=False))

    def say(self, sentence: str) -> None:
        """Tell a person; programs read standard output alone."""
        click.echo(sentence, err=self.json)

    def follow(self, client: Client, operation: str) -> Operation:
        """Show the progress of an operation until its end. Raises PermanentError, Cancelled where it did not succeed."""
        if sys.stderr.isatty() and not self.json:
            self._bar(client, operation)
        else:
            for event in client.follow(operation):
                progress = event.operation.progress
                click.echo(f"{progress.percent:3d} % {progress.stage} {progress.message}".rstrip(), err=True)
        ended = client.wait(operation)
        message = str((ended.error or {}).get("message", "The operation did not succeed."))
        if ended.state == "cancelled":
            raise Cancelled(message)
        if ended.state != "succeeded":
            raise PermanentError(message)
        return ended

    def _bar(self, client: Client, operation: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.fields[stage]}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task("", total=100, stage="queued")
            for event in client.follow(operation):
                progress = event.operation.progress
                bars.update(task, completed=progress.percent, stage=progress.stage)


def plain(found: Any) -> Any:
    """As JSON has it: what a server did not say is left out."""
    if isinstance(found, Value):
        return found.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"success"})
    if isinstance(found, Mapping):
        return {str(name): plain(value) for name, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [plain(one) for one in found]
    return found


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
