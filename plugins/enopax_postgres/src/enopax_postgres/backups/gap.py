"""Segments of the write-ahead log that were given up, because the archive could not take them and the disk is bounded."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from enopax_postgres.backups.catalogue import Catalogue
from enopax_postgres.layout import Layout
from enopax_postgres.machine import Machine

GAP = "archive-gap"
"""File in the home of an instance; the archive's script adds a line for each segment."""


def since(layout: Layout) -> datetime | None:
    """When the first segment was given up; None: the archive is whole."""
    file = layout.home / GAP
    return datetime.fromtimestamp(min(time for time, _ in _lines(file)), UTC) if file.exists() else None


def close(layout: Layout, catalogue: Catalogue, first_segment: str) -> None:
    """A new backup begins behind the gap: older ones lead up to it, and the archive is whole from here on."""
    file = layout.home / GAP
    if not file.exists():
        return
    lost = [name[8:24] for _, name in _lines(file)]
    began = since(layout)
    for backup in catalogue.all():
        if backup.first_segment[8:] <= max(lost) and backup.until is None:
            catalogue.save(backup.model_copy(update={"until": began}))
    if first_segment[8:] > max(lost):
        file.unlink()


def carry(old: Layout, new: Layout, machine: Machine) -> None:
    """Another server takes over, whose archive has the same gap."""
    if (file := old.home / GAP).exists():
        machine.write(new.home / GAP, file.read_bytes())


def _lines(file: Path) -> list[tuple[int, str]]:
    """Time in seconds since 1970 and name of each segment."""
    return [(int(time), name) for time, name in (line.split() for line in file.read_text("utf-8").splitlines())]
