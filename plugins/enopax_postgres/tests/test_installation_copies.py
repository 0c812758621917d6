"""What of a database goes into a backup of the installation, decided by its files alone."""

from __future__ import annotations

import gzip
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from enopax_core.errors import BackupRefused, Unavailable
from enopax_core.testing import FakeHost
from enopax_postgres.backups.catalogue import Backup, Catalogue
from enopax_postgres.backups.gap import GAP
from enopax_postgres.backups.installation import RESTORED, back_up, restore
from enopax_postgres.layout import Layout
from enopax_postgres.machine import Machine
from enopax_postgres.safekeeping import Safekeeping

SYSTEM = 7_000_000_000_000_000_000
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def segment(number: int) -> str:
    """Name of a segment on the first time line."""
    return f"00000001{0:08X}{number:08X}"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A database with a stopped server and no backup."""
    layout = Layout(home=tmp_path / "home", backups=tmp_path / "backups/orders")
    for folder in (layout.data / "global", layout.data / "pg_wal", layout.bases, layout.archive / str(SYSTEM)):
        folder.mkdir(parents=True)
    (layout.data / "global/pg_control").write_bytes(struct.pack("=Q", SYSTEM))
    return layout


@pytest.fixture
def catalogue(layout: Layout, tmp_path: Path) -> Catalogue:
    """Its backups."""
    return Catalogue(layout, Machine(FakeHost(tmp_path)))


def keep(catalogue: Catalogue, id: str, first: int, parent: str | None = None, hours: int = 0) -> None:
    """A verified backup of a server, with one file."""
    catalogue.folder(id).mkdir()
    (catalogue.folder(id) / "PG_VERSION").write_text("17\n")
    at = NOON + timedelta(hours=hours)
    backup = Backup(
        id=id,
        kind="full" if parent is None else "incremental",
        parent=parent,
        system=str(SYSTEM),
        version=17,
        started_at=at,
        finished_at=at,
        first_segment=segment(first),
        size=3,
        verified_at=at,
    )
    catalogue.note(id).write_bytes(backup.model_dump_json(by_alias=True).encode())


def write(layout: Layout, number: int, holds: int | None = None) -> None:
    """A segment of the log; it holds itself, or what it held before it was kept for later."""
    address = (number if holds is None else holds) << 24
    (layout.data / "pg_wal" / segment(number)).write_bytes(struct.pack("=HHIQ", 0xD118, 2, 1, address) + bytes(100))


def archive(layout: Layout, number: int) -> None:
    """A segment in the archive."""
    (layout.archive / str(SYSTEM) / f"{segment(number)}.gz").write_bytes(gzip.compress(b"archived"))


def copied(layout: Layout, catalogue: Catalogue, tmp_path: Path) -> set[str]:
    """Names of what was copied, without folders."""
    back_up(layout, catalogue, tmp_path / "copy")
    return {path.name for path in (tmp_path / "copy").rglob("*") if path.is_file()}


def test_a_database_without_a_backup_is_named(layout: Layout, catalogue: Catalogue, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="orders has no backup"):
        back_up(layout, catalogue, tmp_path / "copy")


def test_a_backup_before_a_gap_is_not_taken_for_one(layout: Layout, catalogue: Catalogue, tmp_path: Path) -> None:
    keep(catalogue, "a", 3)
    (layout.home / GAP).write_text(f"1764072000 {segment(4)}\n")
    with pytest.raises(Unavailable):
        back_up(layout, catalogue, tmp_path / "copy")


def test_a_backup_of_another_server_is_not_taken_for_one(layout: Layout, catalogue: Catalogue, tmp_path: Path) -> None:
    keep(catalogue, "a", 3)
    (layout.data / "global/pg_control").write_bytes(struct.pack("=Q", SYSTEM + 1))
    with pytest.raises(Unavailable):
        back_up(layout, catalogue, tmp_path / "copy")


def test_the_newest_backup_goes_with_what_it_builds_on(layout: Layout, catalogue: Catalogue, tmp_path: Path) -> None:
    keep(catalogue, "old", 1)
    keep(catalogue, "full", 3, hours=1)
    keep(catalogue, "incremental", 5, parent="full", hours=2)
    assert copied(layout, catalogue, tmp_path) == {"full.json", "incremental.json", "PG_VERSION"}


def test_the_log_goes_from_the_beginning_of_that_to_its_end(layout: Layout, catalogue: Catalogue, tmp_path: Path) -> None:
    keep(catalogue, "a", 3)
    for number in (2, 3, 4):
        archive(layout, number)
    for number in (2, 4, 5):
        write(layout, number)
    write(layout, 6, holds=1)  # kept for later
    names = copied(layout, catalogue, tmp_path) - {"a.json", "PG_VERSION"}
    assert names == {f"{segment(number)}.gz" for number in (3, 4, 5)}


def test_what_never_changes_takes_no_disk(layout: Layout, catalogue: Catalogue, tmp_path: Path) -> None:
    keep(catalogue, "a", 3)
    archive(layout, 3)
    back_up(layout, catalogue, tmp_path / "copy")
    assert (tmp_path / "copy/base/a/PG_VERSION").samefile(catalogue.folder("a") / "PG_VERSION")
    name = f"{SYSTEM}/{segment(3)}.gz"
    assert (tmp_path / "copy/wal" / name).samefile(layout.archive / name)


def test_the_log_of_a_server_that_has_taken_over_is_the_one_that_is_copied(tmp_path: Path) -> None:
    home = tmp_path / "postgres"
    layout = Layout(home=tmp_path / "services/orders.postgres-b", backups=home / "backups/orders")
    for folder in (home / "authority", layout.data / "global", layout.data / "pg_wal", layout.bases):
        folder.mkdir(parents=True)
    (layout.data / "global/pg_control").write_bytes(struct.pack("=Q", SYSTEM))
    layout.pointer.write_text(".postgres-b op-1\n")
    host = FakeHost(tmp_path)
    keep(Catalogue(layout, Machine(host)), "a", 3)
    write(layout, 5)
    (tmp_path / "copy").mkdir()
    Safekeeping(host, None).back_up(tmp_path / "copy", None)
    assert (tmp_path / f"copy/databases/orders/wal/{SYSTEM}/{segment(5)}.gz").exists()


def test_the_log_of_a_database_that_was_a_spare_is_copied_and_its_name_goes_along(tmp_path: Path) -> None:
    home, spare = tmp_path / "postgres", "postgres-spare-0123abcd"
    layout = Layout(home=tmp_path / f"services/{spare}-postgres", backups=home / "backups/orders")
    for folder in (home / "authority", layout.data / "global", layout.data / "pg_wal", layout.bases):
        folder.mkdir(parents=True)
    (layout.data / "global/pg_control").write_bytes(struct.pack("=Q", SYSTEM))
    host = FakeHost(tmp_path)
    Machine(host).names.give(spare, "orders")
    keep(Catalogue(layout, Machine(host)), "a", 3)
    write(layout, 5)
    (tmp_path / "copy").mkdir()
    Safekeeping(host, None).back_up(tmp_path / "copy", None)
    assert (tmp_path / f"copy/databases/orders/wal/{SYSTEM}/{segment(5)}.gz").exists()
    assert (tmp_path / "copy/spares/orders").read_text() == spare


def test_backups_of_another_installation_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "copies/orders").mkdir(parents=True)
    (tmp_path / "backups/orders/base").mkdir(parents=True)
    with pytest.raises(BackupRefused, match="backup_dir must be another"):
        restore(tmp_path / "copies", tmp_path / "backups")


def test_what_an_interrupted_restoring_has_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "copies/orders/base").mkdir(parents=True)
    (tmp_path / "backups/orders/half").mkdir(parents=True)
    (tmp_path / "backups/orders" / RESTORED).touch()
    restore(tmp_path / "copies", tmp_path / "backups")
    assert {path.name for path in (tmp_path / "backups/orders").iterdir()} == {"base", RESTORED}
