"""A plugin that writes down every event it is given, when it begins with it and when it is done. A file makes it wait between."""

from __future__ import annotations

from pathlib import Path

import anyio

from enopax_core import Event, Host, hookimpl


@hookimpl
async def enopax_event(host: Host, event: Event) -> None:
    """Note it: a line each time, in one write, which a kill of the process does not take back."""
    _note(host.data_dir, f"began {event.position}")
    while (host.data_dir / "witness.wait").exists():  # noqa: ASYNC110  # a test makes it go, in another process
        await anyio.sleep(0.02)
    _note(host.data_dir, f"done {event.position}")


def _note(folder: Path, line: str) -> None:
    with (folder / "witness.log").open("a") as file:
        file.write(line + "\n")
