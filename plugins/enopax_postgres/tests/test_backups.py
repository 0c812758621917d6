"""Backups that are verified, and every way back from them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from plugins.enopax_postgres.tests.conftest import Site, rows

pytestmark = pytest.mark.anyio


class History:
    """A database with a backup before, one between and none after five rows, and the moment after each."""

    def __init__(self, database: dict[str, Any], moments: list[datetime], backups: list[str]) -> None:
        self.database, self.moments, self.backups = database, moments, backups
        self.id: str = database["id"]


@pytest.fixture(scope="module")
async def history(site: Site) -> History:
    """Shared by the tests that leave it as it is."""
    made = await site.make("history")
    moments, backups = [], [(await site.call("POST", f"/{made['id']}/backups"))["id"]]
    await rows(made, "CREATE TABLE t (i int GENERATED ALWAYS AS IDENTITY)")
    for number in range(5):
        ((moment,),) = await rows(made, "INSERT INTO t DEFAULT VALUES", "SELECT clock_timestamp()")
        moments.append(moment)
        if number == 2:
            backups.append((await site.call("POST", f"/{made['id']}/backups"))["id"])
    return History(made, moments, backups)


async def recovered(site: Site, history: History, name: str, **target: str) -> dict[str, Any]:
    """A new database, recovered from the history."""
    answer = await site.call("POST", f"/{history.id}/recover", {"name": name, **target})
    return await site.ready(answer["id"])


@pytest.mark.parametrize("number", range(5))
async def test_a_moment_is_recovered_to_exactly_its_rows(site: Site, history: History, number: int) -> None:
    made = await recovered(site, history, f"moment-{number}", time=history.moments[number].isoformat())
    assert await rows(made, "SELECT i FROM t ORDER BY i") == [(i + 1,) for i in range(number + 1)]


async def test_a_backup_is_recovered_to_its_own_end(site: Site, history: History) -> None:
    made = await recovered(site, history, "at-backup", backup=history.backups[1])
    assert await rows(made, "SELECT count(*) FROM t") == [(3,)]


async def test_without_a_target_everything_committed_is_recovered(site: Site, history: History) -> None:
    made = await recovered(site, history, "latest")
    assert await rows(made, "SELECT count(*) FROM t") == [(5,)]


async def test_a_recovered_database_has_passwords_of_its_own(site: Site, history: History) -> None:
    made = await recovered(site, history, "guarded", backup=history.backups[0])
    credentials = history.database["credentials"]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(made["connection"]["direct"], user=credentials["username"], password=credentials["password"])


async def test_a_recovered_database_takes_backups_of_its_own(site: Site, history: History) -> None:
    made = await recovered(site, history, "continued", backup=history.backups[0])
    backup = await site.call("POST", f"/{made['id']}/backups")
    assert backup["kind"] == "full"


@pytest.mark.parametrize("time", ["2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z"])
async def test_a_moment_outside_is_refused_with_both_bounds(site: Site, history: History, time: str) -> None:
    bounds = await site.call("GET", f"/{history.id}/backups")
    answer = await site.ask("POST", f"/{history.id}/recover", {"name": "never", "time": time})
    assert answer.status_code == 409
    earliest = datetime.fromisoformat(bounds["earliest"])
    assert earliest.isoformat() in answer.json()["error"]
    assert f" to {datetime.now(UTC):%Y-%m-%dT}" in answer.json()["error"]


async def test_the_second_backup_copies_what_has_changed(site: Site, history: History) -> None:
    backups = {b["id"]: b for b in (await site.call("GET", f"/{history.id}/backups"))["backups"]}
    first, second = (backups[id] for id in history.backups)
    assert (first["kind"], second["kind"], second["parent"]) == ("full", "incremental", first["id"])
    assert second["size"] < first["size"]


async def test_a_good_backup_is_a_condition_and_a_metric(site: Site, history: History) -> None:
    shown = await site.call("POST", f"/{history.id}/backups/{history.backups[0]}/verify")
    assert "fault" not in shown
    metrics = (await site.call("GET", f"/{history.id}/metrics"))["metrics"]
    assert metrics["last_backup"]["value"] > history.moments[0].timestamp()


async def test_a_database_is_recovered_in_place_and_keeps_its_credentials(site: Site) -> None:
    made = await site.make("placed")
    await site.call("POST", f"/{made['id']}/backups")
    ((moment,),) = await rows(made, "CREATE TABLE t (i int)", "INSERT INTO t VALUES (1)", "SELECT clock_timestamp()")
    await rows(made, "INSERT INTO t VALUES (2)")
    await site.call("POST", f"/{made['id']}/recover", {"inPlace": True, "time": moment.isoformat()})
    assert await rows(made, "SELECT i FROM t") == [(1,)]
    await rows(made, "INSERT INTO t VALUES (3)")
    later = await site.call("POST", f"/{made['id']}/recover", {"name": "after-placed"})
    assert await rows(await site.ready(later["id"]), "SELECT i FROM t ORDER BY i") == [(1,), (3,)]


async def test_a_damaged_backup_is_found_and_never_used(site: Site) -> None:
    made = await site.make("damaged")
    backup = await site.call("POST", f"/{made['id']}/backups")
    folder = next(site.core.settings.data_dir.rglob(backup["id"]))
    flip(folder / "base/1/1259")
    assert "checksum mismatch" in (await site.call("POST", f"/{made['id']}/backups/{backup['id']}/verify"))["fault"]
    answer = await site.ask("POST", f"/{made['id']}/recover", {"name": "never", "backup": backup["id"]})
    assert answer.status_code == 409
    assert (await site.call("POST", f"/{made['id']}/backups"))["kind"] == "full"


async def test_a_gap_in_the_archive_degrades_and_the_next_backup_closes_it(site: Site) -> None:
    made = await site.make("gapped")
    before = await site.call("POST", f"/{made['id']}/backups")
    gap = next(site.core.settings.data_dir.rglob(f"{made['id']}.postgres")) / "archive-gap"
    gap.write_text(f"{int(datetime.now(UTC).timestamp())} {before['firstSegment']}\n")
    await site.call("PATCH", f"/{made['id']}", {"maintenanceWindow": "Mon 01:00"})  # looked at after each change
    assert (await site.call("GET", f"/{made['id']}"))["status"] == "degraded"
    after = await site.call("POST", f"/{made['id']}/backups")
    assert after["kind"] == "full"
    await site.call("PATCH", f"/{made['id']}", {"maintenanceWindow": "Mon 02:00"})
    assert (await site.call("GET", f"/{made['id']}"))["status"] == "active"
    bounds = await site.call("GET", f"/{made['id']}/backups")
    assert bounds["earliest"] == after["finishedAt"]


async def test_another_project_cannot_recover_from_a_database(site: Site, history: History) -> None:
    body = {"name": "never", "organisationName": "Acme", "projectName": "Other", "recoverFrom": {"resource": history.id}}
    answer = await site.ask("POST", "", body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/recoverFrom/resource")


def flip(file: Path) -> None:
    """Change one bit."""
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
