"""Finds secrets of a resource where everybody could read them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from enopax_core.ledger import events, operations
from enopax_core.records.resource import ResourceRecord
from enopax_core.testing.bench import Opened
from enopax_core.testing.promise import broken

SHORTEST = 8  # characters; anything shorter turns up by chance


class Secrets:
    """Everything secret that a resource has had, by what it is."""

    def __init__(self, opened: Opened, public: frozenset[str]) -> None:
        """`public`: names in credentials and state whose values anybody may know."""
        self._opened, self._public = opened, public
        self._known: dict[str, str] = {}

    async def learn(self, record: ResourceRecord) -> None:
        """Remember the secrets that a resource has now."""
        vault = self._opened.core.vault
        for what, sealed in (
            ("credentials", record.sealed_credentials),
            ("state", record.sealed_state),
            ("config", record.sealed_config),
        ):
            for path, value in _texts(vault.open(sealed), what):
                if len(value) >= SHORTEST and not self._public & set(path.split(".")) and value != record.id:
                    self._known[value] = path

    def look_in(self, text: str, where: str, remedy: str) -> None:
        """Fail the test if a text holds a secret."""
        for secret, name in self._known.items():
            if secret in text:
                broken(f"The secret {name} can be read in {where}. {remedy}")

    async def look_everywhere(self, record: ResourceRecord, logged: Collection[logging.LogRecord]) -> None:
        """Look in everything that is shown to people who may not see credentials."""
        opened = self._opened
        self.look_in(str(record.access), "`access`", "Leave it out of the address.")
        self.look_in(str(record.connection), "`connection`", "Put what is secret into `credentials`.")
        read = opened.core.ledger.read
        for operation in await read(partial(operations.page_of_resource, resource=record.id, after=0, size=1000)):
            self.look_in(str(operation.error), f"the error of {operation.type}", "Raise an error that does not repeat it.")
        for event in await read(partial(events.everything, after=0, size=10_000)):
            if event.resource == record.id:
                self.look_in(str(event.data), f"the event {event.type}", "Leave it out of what progress(…) reports.")
        for entry in logged:
            text = f"{vars(entry)} {entry.getMessage()} {logging.Formatter().format(entry)}"
            self.look_in(text, f"the log of {entry.name}", "Log what happened, not with what; errors must not repeat it either.")
        shown = replace(record, access=None, connection={})
        self.look_in(repr(shown), "the resource", "Neither configuration nor message nor conditions may hold it.")
        resource = await opened.resource(record)
        self.look_in(
            repr(resource) + repr(resource.config),
            "the repr of the resource",
            "Mark the field as writeOnly in a model based on `Config`, or give it Field(repr=False).",
        )
        for command in _commands():
            self.look_in(command, "the arguments of a process", "Hand it over in the environment or in a file of mode 0600.")


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every string in a JSON value, with where it stands."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, f"{path}.{number}")


def _commands() -> Iterator[str]:
    """Arguments of the processes on this machine, where the system shows them."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended meanwhile
            continue
