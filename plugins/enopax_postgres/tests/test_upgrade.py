"""Another major version in place, and every way in which that may end."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from plugins.enopax_postgres.tests.conftest import Site, opened, rows

from enopax_core.engine import worker
from enopax_core.engine.attempt import Attempt
from enopax_core.provider import Cancelled
from enopax_core.records.operation import OperationRecord
from enopax_core.runtime import Service
from enopax_postgres.installations import DEBIAN, Installations

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]  # each upgrade copies a cluster and starts six servers
FOUND = [str(major) for major in Installations("", os.environ.get("PATH", "")).by_major]


@pytest.fixture(scope="module")
def old() -> str:
    """The oldest major version on this machine."""
    if len(FOUND) < 2:
        missing = f"There is PostgreSQL {', '.join(FOUND)} on this machine: an upgrade takes two major versions."
        if DEBIAN.is_dir():
            pytest.skip(f"{missing} Debian's and the wheel's are the same.")
        pytest.fail(f"{missing} scripts/install --tests brings Debian's.", pytrace=False)
    return FOUND[-1]


@pytest.fixture(scope="module")
async def site(old: str) -> AsyncIterator[Site]:
    """An installation whose operations are tried again soon."""
    async with opened() as found:
        yield found


async def end_of(site: Site, operation: str) -> OperationRecord:
    """An operation that has ended."""
    with anyio.fail_after(600):
        while True:
            record = await site.core.operations.wait(operation, 60)
            assert record is not None
            if record.state.ended:
                return record


async def upgrade(site: Site, id: str) -> None:
    """Bring a database to the newest version."""
    answer = await site.ask("PATCH", f"/{id}", {"version": FOUND[0]})
    assert answer.is_success, answer.text
    if answer.status_code == 202:
        record = await end_of(site, answer.json()["operation"])
        assert record.state.value == "succeeded", record.error


async def refused(site: Site, id: str) -> str:
    """Why a database could not be upgraded."""
    answer = await site.ask("PATCH", f"/{id}", {"version": FOUND[0]})
    assert answer.status_code == 202, answer.text
    record = await end_of(site, answer.json()["operation"])
    assert record.state.value == "failed"
    assert record.error is not None
    return str(record.error["message"])


async def major(database: dict[str, Any]) -> str:
    """The version that a database has."""
    ((found,),) = await rows(database, "SHOW server_version")
    return str(found).partition(".")[0]


def beside(site: Site, database: dict[str, Any]) -> list[str]:
    """What lies beside the data directory and must not stay."""
    (home,) = site.core.settings.data_dir.glob(f"services/{database['id']}.postgres")
    return sorted(entry.name for entry in home.iterdir() if entry.name.startswith(("data.", "upgraded")))


@pytest.fixture(scope="module")
async def upgraded(site: Site, old: str) -> dict[str, Any]:
    """A database with a backup and a row before the upgrade, and a row after it."""
    made = await site.make("upgraded", version=old, extensions=["pg_trgm", "hstore"])
    await site.call("POST", f"/{made['id']}/backups")
    ((moment,),) = await rows(
        made,
        "CREATE TABLE t (i int PRIMARY KEY, word text)",
        "INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 1000) i",
        "CREATE INDEX ON t USING gin (word gin_trgm_ops)",
        "ANALYZE t",
        "SELECT clock_timestamp()",
    )
    assert await major(made) == old
    await upgrade(site, made["id"])
    await rows(made, "INSERT INTO t VALUES (0, 'after')")
    return {**made, "moment": moment}


async def test_the_same_credentials_open_the_same_database_in_the_new_version(upgraded: dict[str, Any]) -> None:
    assert await major(upgraded) == FOUND[0]
    assert await rows(upgraded, "SELECT count(*) FROM t WHERE word ILIKE '%a%' OR i = 0") != [(0,)]
    assert await rows(upgraded, "SELECT count(*) FROM t") == [(1001,)]


async def test_extensions_and_statistics_are_those_of_the_new_version(upgraded: dict[str, Any]) -> None:
    behind = "SELECT name FROM pg_available_extensions WHERE installed_version <> default_version"
    assert await rows(upgraded, behind) == []
    assert await rows(upgraded, "SELECT count(*) FROM pg_stats WHERE tablename = 't'") == [(2,)]


async def test_nothing_of_an_upgrade_stays(site: Site, upgraded: dict[str, Any]) -> None:
    assert beside(site, upgraded) == []
    shown = await site.call("GET", f"/{upgraded['id']}")
    assert (shown["status"], shown["config"]["version"]) == ("active", FOUND[0])


async def test_backups_begin_anew_with_a_full_one(site: Site, upgraded: dict[str, Any], old: str) -> None:
    newest, *older = (await site.call("GET", f"/{upgraded['id']}/backups"))["backups"]
    assert (newest["kind"], str(newest["version"]), "until" in newest) == ("full", FOUND[0], False)
    assert {(str(backup["version"]), "until" in backup) for backup in older} == {(old, True)}


async def test_a_moment_before_is_recovered_into_a_new_database_of_the_old_version(
    site: Site, upgraded: dict[str, Any], old: str
) -> None:
    moment: datetime = upgraded["moment"]
    target = {"time": moment.isoformat()}
    answer = await site.ask("POST", f"/{upgraded['id']}/recover", {"inPlace": True, **target})
    assert (answer.status_code, "recover it into a new database" in answer.json()["error"]) == (409, True)
    made = await site.call("POST", f"/{upgraded['id']}/recover", {"name": "before", **target})
    before = await site.ready(made["id"])
    assert (await major(before), await rows(before, "SELECT count(*) FROM t")) == (old, [(1000,)])


async def test_there_is_no_way_back(site: Site, upgraded: dict[str, Any], old: str) -> None:
    answer = await site.ask("PATCH", f"/{upgraded['id']}", {"version": old})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/version")


async def test_a_preview_says_that_it_restarts(site: Site, upgraded: dict[str, Any]) -> None:
    (change,) = (await site.call("PATCH", f"/{upgraded['id']}?dry_run=true", {"version": "default"}))["changes"]
    assert (change["pointer"], change["effect"]) == ("/version", "restart")


# ── Back ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
async def kept(site: Site, old: str) -> dict[str, Any]:
    """A database of the old version that does not come to the new one until the last test."""
    made = await site.make("kept", version=old)
    await rows(made, "CREATE TABLE t (i int)", "INSERT INTO t VALUES (1)")
    return made


async def test_what_pg_upgrade_refuses_runs_on_in_the_old_version(site: Site, kept: dict[str, Any], old: str) -> None:
    await rows(kept, "CREATE TABLE relic (a regproc)")  # no version can bring it over: it holds what others call otherwise
    assert "pg_upgrade refused, and nothing has changed" in await refused(site, kept["id"])
    assert (await major(kept), await rows(kept, "SELECT i FROM t"), beside(site, kept)) == (old, [(1,)], [])
    await rows(kept, "DROP TABLE relic")


async def test_a_new_server_that_does_not_prove_itself_is_given_up(site: Site, kept: dict[str, Any], old: str) -> None:
    await rows(kept, "SET ROLE NONE", "ALTER ROLE app_a PASSWORD 'mine'")  # then the given credentials open nothing
    assert "did not prove itself" in await refused(site, kept["id"])
    await site.call("POST", f"/{kept['id']}/credentials/rotate")
    again = {**kept, **await site.call("GET", f"/{kept['id']}/credentials")}
    assert (await major(again), await rows(again, "SELECT i FROM t"), beside(site, kept)) == (old, [(1,)], [])


async def test_a_cancelled_upgrade_leaves_the_old_version_running(
    site: Site, kept: dict[str, Any], old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress, cancelled = Attempt.progress, []

    def stop(attempt: Attempt, stage: str, message: str = "", percent: int | None = None) -> None:
        cancelled.extend([message] if message.startswith("Upgrading") else [])
        if cancelled:  # and from here on always, as for somebody who has cancelled it
            raise Cancelled
        progress(attempt, stage, message, percent)

    with monkeypatch.context() as patch:
        patch.setattr(Attempt, "progress", stop)
        answer = await site.ask("PATCH", f"/{kept['id']}", {"version": FOUND[0]})
        record = await end_of(site, answer.json()["operation"])
    again = {**kept, **await site.call("GET", f"/{kept['id']}/credentials")}
    assert (record.state.value, len(cancelled)) == ("cancelled", 1)
    assert (await major(again), await rows(again, "SELECT i FROM t"), beside(site, kept)) == (old, [(1,)], [])


async def leave_a_stray(site: Site, database: dict[str, Any], major: str) -> None:
    """A server on the old data that nobody knows of, as a pg_upgrade that was killed leaves it."""
    id = f"{database['id']}.postgres"
    runtime = site.core.host.runtime
    await runtime.stop(id)
    home = await runtime.directory(id)
    program = Installations("", os.environ["PATH"]).get(major).program("pg_ctl")
    options = f"-c listen_addresses='' -c unix_socket_directories=@stray-{database['id']}"
    command = [program, "start", f"--pgdata={home / 'data'}", f"--log={home / 'stray.log'}", f"--options={options}"]
    started = await runtime.run(Service(id="stray", resource=None, command=command), command)
    assert started.status == 0, started.errors
    assert (home / "data/postmaster.pid").exists()


async def test_killed_at_every_step_it_comes_to_its_end(
    site: Site, kept: dict[str, Any], old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress, killed = Attempt.progress, []
    steps = ["Changing over", "Looking at the new server", "Collecting statistics"]

    def deadly(attempt: Attempt, stage: str, message: str = "", percent: int | None = None) -> None:
        progress(attempt, stage, message, percent)
        if message in steps:
            steps.remove(message)
            killed.append(message)
            raise KeyError(message)  # not one that is provided for: nothing is put in order, as after a kill

    await leave_a_stray(site, kept, old)
    monkeypatch.setattr(Attempt, "progress", deadly)
    monkeypatch.setattr(worker, "FIRST_BACKOFF", timedelta(milliseconds=1))
    await upgrade(site, kept["id"])
    again = {**kept, **await site.call("GET", f"/{kept['id']}/credentials")}
    assert (steps, len(killed)) == ([], 3)
    assert (await major(again), await rows(again, "SELECT i FROM t"), beside(site, kept)) == (FOUND[0], [(1,)], [])
    newest = (await site.call("GET", f"/{kept['id']}/backups"))["backups"][0]
    assert (newest["kind"], str(newest["version"])) == ("full", FOUND[0])


async def test_a_replica_is_made_anew_in_the_new_version(site: Site, old: str) -> None:
    made = await site.make("followed", version=old, plan="postgres-medium", synchronous=True)
    await rows(made, "CREATE TABLE t (i int)", "INSERT INTO t VALUES (1)")
    await upgrade(site, made["id"])
    with psycopg.connect(made["credentials"]["replicaUrl"], connect_timeout=60) as replica:
        assert replica.execute("SELECT pg_is_in_recovery(), i FROM t").fetchone() == (True, 1)
        assert replica.info.server_version // 10000 == int(FOUND[0])


# ── A minor version ───────────────────────────────────────────────────────────────────────────────────────────────────


def programs_in(folder: Path, said: str) -> None:
    """The newest programs, of which `postgres` says another version of itself than it is: as a package that is newer would."""
    real = Installations("", os.environ["PATH"]).get("default").programs
    folder.chmod(0o755)  # the servers' account passes
    for program in real.iterdir():
        if program.name != "postgres":
            (folder / program.name).symlink_to(program)
    (folder / "version").write_text(said)
    shim = folder / "postgres"
    shim.write_text(
        f'#!/bin/sh\n# of libssl.so\ncase $1 in --version) exec cat {folder / "version"};; esac\nexec {real / "postgres"} "$@"\n'
    )
    shim.chmod(0o755)


async def test_programs_of_another_minor_version_wait_for_a_restart() -> None:
    found = Installations("", os.environ["PATH"]).get("default")
    folder = Path(tempfile.mkdtemp(prefix="enopax-programs-"))
    programs_in(folder, f"postgres (PostgreSQL) {found.version}\n")

    async def pending(site: Site, window: str) -> dict[str, str]:
        await site.call("PATCH", f"/{made['id']}", {"maintenanceWindow": window})  # looked at after each change
        conditions = (await site.call("GET", f"/{made['id']}"))["conditions"]
        return next(dict(condition) for condition in conditions if condition["type"] == "RestartPending")

    async with opened(programs=str(folder)) as site:
        made = await site.make("patched")
        assert (await pending(site, "Mon 01:00"))["status"] == "False"
        (folder / "version").write_text(f"postgres (PostgreSQL) {found.major}.999\n")
        condition = await pending(site, "Mon 02:00")
        assert (condition["status"], f"PostgreSQL {found.major}.999" in condition["message"]) == ("True", True)
    shutil.rmtree(folder)
