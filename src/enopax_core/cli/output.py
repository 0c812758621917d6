"""Tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from enopax_core.client import Change, Client, Operation
from enopax_core.client.values import Value
from enopax_core.errors import Cancelled, PermanentError

WIDE = 1000  # columns where nobody looks: a file or a pipe gets whole values
INTERRUPTED = 130  # exit status of a program that Ctrl-C has ended (128 + SIGINT)


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
            table.add_row(*(Text(cell(item.get(column))) for column in columns))  # names are data, not markup
        Console(width=None if sys.stdout.isatty() else WIDE).print(table)

    def fields(self, found: Any) -> None:
        """One thing: a line for each field, also of the objects in it, or one object."""
        item = plain(found)
        if self.json:
            self.value(item)
            return
        lines = list(_flat(item))
        width = max((len(name) for name, _ in lines), default=0)
        for name, text in lines:
            click.echo(f"{name:<{width}}  {text}")

    def value(self, found: Any) -> None:
        """JSON, whichever way was asked for."""
        click.echo(json.dumps(plain(found), indent=2, ensure_ascii=False))

    def line(self, found: Any, text: str) -> None:
        """One of many that come one after the other: a line of text, or of JSON."""
        click.echo(json.dumps(plain(found), ensure_ascii=False) if self.json else text)

    def changes(self, found: Sequence[Change], *, dry_run: bool) -> None:
        """What would change. A program sees it where it asked for nothing else: its answer comes after."""
        if self.json and dry_run:
            self.value(found)
        elif not found:
            self.say("Nothing would change.")
        else:
            for change in found:
                self.say(changed(change))

    def say(self, sentence: str) -> None:
        """Tell a person; programs read standard output alone."""
        click.echo(sentence, err=self.json)

    def follow(self, client: Client, operation: str) -> Operation:
        """Show the progress of an operation until its end. Raises PermanentError, Cancelled where it did not succeed."""
        try:
            if sys.stderr.isatty() and not self.json:
                self._bar(client, operation)
            else:
                self._lines(client, operation)
        except KeyboardInterrupt:
            click.echo(f"It goes on without you. Follow it with: enopax operations watch {operation}", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None
        ended = client.wait(operation)
        message = str((ended.error or {}).get("message", "The operation did not succeed."))
        if ended.state == "cancelled":
            raise Cancelled(message)
        if ended.state != "succeeded":
            raise PermanentError(f"{message} Try it again with: enopax operations retry {operation}")
        return ended

    def _lines(self, client: Client, operation: str) -> None:
        last = ""
        for event in client.follow(operation):
            progress = event.operation.progress
            line = f"{progress.percent:3d} % {progress.stage} {progress.message}".rstrip()
            if line != last:  # a change of state that is no progress
                click.echo(line, err=True)
            last = line

    def _bar(self, client: Client, operation: str) -> None:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.fields[stage]:<10}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[message]}"),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task("", total=100, stage="queued", message="")
            for event in client.follow(operation):
                now = event.operation.progress
                bars.update(task, completed=now.percent, stage=escape(now.stage), message=escape(now.message))


def confirm(question: str) -> None:
    """Ask; go on after yes. Raises Abort after no, UsageError where nobody answers."""
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise click.UsageError("Nobody is there to answer: give --yes to go on without asking.") from None
    if not agreed:
        raise click.Abort


def plain(found: Any) -> Any:
    """As JSON has it: what a server did not say is left out."""
    if isinstance(found, Value):
        return found.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"success", "etag"})
    if isinstance(found, Mapping):
        return {str(name): plain(value) for name, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [plain(one) for one in found]
    return found


def changed(change: Change) -> str:
    """One field's change, for people."""
    return f"  {change.pointer}: {_json(change.old)} → {_json(change.new)} ({change.effect})"


def cell(value: Any) -> str:
    """One value, for people."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return "" if value is None else value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def _flat(item: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, str]]:
    for name, value in item.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        elif isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
            for number, one in enumerate(value, 1):
                parts = {key: cell(part) for key, part in one.items() if part not in (None, "", []) and key != "type"}
                yield f"{before}{name}.{one.get('type', number)}", ", ".join(f"{key}={text}" for key, text in parts.items())
        elif value not in (None, "", []):
            yield before + name, cell(value)
