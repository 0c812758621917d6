"""Copies of backups in a store that speaks S3, used by a real installation.

The store is moto's server, a fake of S3; with ENOPAX_TEST_S3=http://KEY:SECRET@HOST:PORT it is that one, a real one say.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3  # type: ignore[import-untyped]  # it comes without types
import obstore
import pytest
from plugins.enopax_postgres.tests.conftest import PLACE
from plugins.enopax_postgres.tests.test_installation_copies import NOON, SYSTEM, archive, keep, segment
from plugins.enopax_postgres.tests.test_safekeeping import SLOW, active, found, query, remove
from pydantic import SecretStr
from tests.acceptance.serverkit import Server, eventually
from tests.acceptance.test_backup import enopax

from enopax_core.provider import TemporaryError
from enopax_core.testing import FakeHost
from enopax_postgres.backups.catalogue import Catalogue
from enopax_postgres.backups.offsite import Offsite, open_store
from enopax_postgres.layout import Layout
from enopax_postgres.looks import COPIES_LATE, copied
from enopax_postgres.machine import Machine
from enopax_postgres.settings import PostgresSettings

pytestmark = pytest.mark.timeout(900)
BUCKET = "backups"
WEEK = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """An empty bucket of a store."""

    endpoint: str
    key: str
    secret: str
    name: str

    @property
    def settings(self) -> PostgresSettings:
        """As the plugin takes it."""
        return PostgresSettings(
            s3_bucket=self.name,
            s3_endpoint=self.endpoint,
            s3_access_key_id=SecretStr(self.key),
            s3_secret_access_key=SecretStr(self.secret),
        )

    @property
    def environment(self) -> dict[str, str]:
        """As an operator gives it to a server."""
        settings = self.settings.model_dump(include={"s3_bucket", "s3_endpoint"})
        secrets = {"s3_access_key_id": self.key, "s3_secret_access_key": self.secret}
        values = {**settings, **secrets, "spares": "0"}  # what is made in the background takes part in no story
        return {f"ENOPAX_POSTGRES_{name.upper()}": value for name, value in values.items()}

    def names(self, prefix: str = "") -> set[str]:
        """Of all objects below a prefix."""
        return {one["path"] for page in obstore.list(open_store(self.settings), prefix) for one in page}


@contextlib.contextmanager
def store() -> Iterator[tuple[str, str, str]]:
    """Address, key and secret of a store."""
    given = urlsplit(os.environ.get("ENOPAX_TEST_S3", ""))
    if given.hostname:
        yield f"{given.scheme}://{given.hostname}:{given.port}", given.username or "", given.password or ""
        return
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", "0"]
    with (
        tempfile.NamedTemporaryFile("r") as said,
        subprocess.Popen(command, stdout=said.fileno(), stderr=said.fileno()) as process,
    ):
        try:
            running = r"Running on (http://127\.0\.0\.1:\d+)"
            address = eventually("the store answers", lambda: re.search(running, Path(said.name).read_text()))
            yield address[1], "a-key-of-the-store", "a-secret-of-the-store"
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    """Shared by the tests of this module; each keeps to ids of its own."""
    with store() as (endpoint, key, secret):
        name = f"{BUCKET}-{os.getpid()}"
        given = {"aws_access_key_id": key, "aws_secret_access_key": secret, "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=endpoint, **given).create_bucket(Bucket=name)
        yield Bucket(endpoint=endpoint, key=key, secret=secret, name=name)


# ── What is copied, and what is kept ──────────────────────────────────────────────────────────────────────────────────


class Here(Machine):
    """A machine without a runtime: files stay whose they are."""

    def own(self, path: Path, *, below: bool = False) -> None:
        """Nobody else is to read them."""


def database(folder: Path, id: str) -> tuple[Layout, Catalogue]:
    """The backups of a database whose server is not there."""
    layout = Layout(home=folder / "home", backups=folder / id)
    for made in (layout.bases, layout.archive / str(SYSTEM)):
        made.mkdir(parents=True)
    return layout, Catalogue(layout, Here(FakeHost(folder)))


def offsite(bucket: Bucket, folder: Path) -> Offsite:
    """The copies, as a server that has just started sees them."""
    return Offsite(open_store(bucket.settings), Here(FakeHost(folder)))


def test_what_the_plan_no_longer_keeps_goes_from_the_store_too(bucket: Bucket, tmp_path: Path) -> None:
    layout, catalogue = database(tmp_path, "pruned")
    for number, id in enumerate(("a", "b")):
        keep(catalogue, id, 3 + 2 * number, hours=24 * number)
    for number in (3, 4, 5, 6):
        archive(layout, number)
    copies = offsite(bucket, tmp_path)
    copies.ship(layout, WEEK, NOON)
    place = layout.offsite.read_text().strip()
    everything = {f"base/{id}.{kind}" for id in "ab" for kind in ("json", "tar.gz")}
    everything |= {f"wal/{SYSTEM}/{segment(number)}.gz" for number in (3, 4, 5, 6)}
    assert {name.removeprefix(f"{place}/") for name in bucket.names(f"{place}/")} == everything
    copies.ship(layout, WEEK, NOON + timedelta(days=9))
    left = {"base/b.json", "base/b.tar.gz", *(f"wal/{SYSTEM}/{segment(number)}.gz" for number in (5, 6))}
    assert {name.removeprefix(f"{place}/") for name in bucket.names(f"{place}/")} == left


def test_from_where_it_was_restored_a_database_fetches_the_newest_good_backup(bucket: Bucket, tmp_path: Path) -> None:
    first, catalogue = database(tmp_path / "first", "moved")
    for hours, id in enumerate(("a", "b", "c")):
        keep(catalogue, id, 3 + hours, hours=hours)
    for number in (3, 4, 5):
        archive(first, number)
    copies = offsite(bucket, tmp_path / "first")
    copies.ship(first, WEEK, NOON)
    catalogue.save(catalogue.get("c").model_copy(update={"fault": "It was found to be damaged."}))
    copies.ship(first, WEEK, NOON)
    second, fetched = database(tmp_path / "second", "moved")
    shutil.copy(first.offsite, second.origin)
    offsite(bucket, tmp_path / "second").fetch_origin(second)
    assert [backup.id for backup in fetched.all()] == ["b"]
    assert (fetched.folder("b") / "PG_VERSION").read_text() == "17\n"
    assert {file.name for file in second.archive.glob("*/*")} == {f"{segment(number)}.gz" for number in (4, 5)}
    assert not second.origin.exists()


def test_a_store_that_takes_nothing_is_told_without_its_secret(bucket: Bucket, tmp_path: Path) -> None:
    layout, catalogue = database(tmp_path, "away")
    keep(catalogue, "a", 3)
    settings = bucket.settings.model_copy(update={"s3_bucket": "no-such-bucket"})
    copies = Offsite(open_store(settings), Here(FakeHost(tmp_path)))
    with pytest.raises(TemporaryError) as raised:
        copies.ship(layout, WEEK, NOON)
    assert copies.failing_since("away") == NOON
    assert bucket.secret not in str(raised.value) + repr(settings) + repr(copies)


def test_a_store_is_late_after_a_while_only() -> None:
    now = datetime.now(UTC)
    late = [copied(since, now).status for since in (None, now, now - COPIES_LATE - timedelta(seconds=1))]
    assert late == ["True", "True", "False"]


# ── A real installation ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Story:
    """What became of an installation whose backup disk failed, and which then burned down."""

    folder: Path
    made: dict[str, Any]  # as the customer knew it
    earlier: list[Any]  # rows of a database recovered from a backup that was on the failed disk
    spoken: str  # everything that could have held the secret
    after: Server  # restored on another machine
    places: tuple[str, str]  # where the first installation has written, and the second


@pytest.fixture(scope="module")
def story(bucket: Bucket) -> Iterator[Story]:
    """Told once."""
    folder = Path(tempfile.mkdtemp(prefix="enopax-off-"))  # outside of what pytest makes: its parents admit nobody else
    folder.chmod(0o755)
    before, after = (Server(folder / name, **bucket.environment) for name in ("before", "after"))
    try:
        before.start()
        made = found(before, "POST", "", {"name": "orders", **PLACE})
        query(made, folder, "CREATE TABLE t AS SELECT 1 AS i")
        first = found(before, "POST", f"/{made['id']}/backups")["id"]
        enopax("backup", folder / "all.tar", "--data-dir", before.data_dir)
        query(made, folder, "INSERT INTO t VALUES (2)")
        second = found(before, "POST", f"/{made['id']}/backups")["id"]
        kept = before.data_dir / "postgres/backups" / made["id"]
        eventually("both are copied", lambda: _copied(bucket, kept, first) and _copied(bucket, kept, second), SLOW)

        before.kill()
        for name in ("base", "wal"):
            shutil.rmtree(kept / name)
        before.start()
        eventually("they are fetched", lambda: {first, second} <= _backups(before, made["id"]), SLOW)
        again = found(before, "POST", f"/{made['id']}/recover", {"name": "earlier", "backup": first})
        earlier = query(active(before, again["id"]), folder, "SELECT i FROM t")
        pid = (before.data_dir / "services" / f"{made['id']}.postgres/data/postmaster.pid").read_text().split()[0]
        commands = [Path(f"/proc/{one}/cmdline").read_text() for one in (before.pid, pid)]
        spoken = before.said() + "".join(commands) + Path(f"/proc/{pid}/environ").read_text()
        place = (kept / "offsite").read_text().strip()

        remove(before)
        shutil.rmtree(before.data_dir)
        enopax("restore-backup", folder / "all.tar", "--data-dir", after.data_dir)
        after.start()
        active(after, made["id"])
        kept = after.data_dir / "postgres/backups" / made["id"]
        eventually("it is copied in turn", (kept / "offsite").exists, SLOW)
        places = (place, (kept / "offsite").read_text().strip())
        yield Story(folder=folder, made=made, earlier=earlier, spoken=spoken, after=after, places=places)
    finally:
        for server in (before, after):
            if server.data_dir.exists():
                remove(server)
    shutil.rmtree(folder)


def _copied(bucket: Bucket, kept: Path, backup: str) -> bool:
    place = kept / "offsite"
    return place.exists() and f"{place.read_text().strip()}/base/{backup}.json" in bucket.names()


def _backups(server: Server, id: str) -> set[str]:
    return {backup["id"] for backup in found(server, "GET", f"/{id}/backups")["backups"]}


def test_backups_whose_disk_failed_are_fetched_and_recovered_from(story: Story) -> None:
    assert story.earlier == [(1,)]


def test_a_restored_installation_brings_back_what_was_archived_after_its_backup(story: Story) -> None:
    assert query(active(story.after, story.made["id"]), story.folder, "SELECT i FROM t ORDER BY i") == [(1,), (2,)]


def test_a_restored_installation_writes_to_a_place_of_its_own(story: Story, bucket: Bucket) -> None:
    first, second = story.places
    assert first != second
    assert bucket.names(f"{first}/")


def test_the_secret_is_in_no_log_argument_or_environment_of_a_server(story: Story, bucket: Bucket) -> None:
    assert bucket.secret not in story.spoken


def test_a_purge_removes_what_this_installation_has_copied(story: Story, bucket: Bucket) -> None:
    first, second = story.places
    eventually("something was copied", lambda: bucket.names(f"{second}/"), SLOW)
    found(story.after, "DELETE", f"/{story.made['id']}?purge=true")
    eventually("it is gone", lambda: story.after.api.get(f"/v1/postgres/{story.made['id']}").status_code == 404)
    assert (bucket.names(f"{second}/"), bool(bucket.names(f"{first}/"))) == (set(), True)
