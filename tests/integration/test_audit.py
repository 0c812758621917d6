"""The audit log in the ledger and over HTTP: appended to by every change, by nobody changed unnoticed."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import ORGANISATION, PROJECT, WHERE, House, opened

from enopax_core.events.audit import Verification
from enopax_core.ledger.queries import CORE, load_migrations
from enopax_core.records.audit import AuditEntry

pytestmark = pytest.mark.anyio


@contextlib.contextmanager
def behind_its_back(data_dir: Path, *, forced: bool = True) -> Iterator[sqlite3.Connection]:
    """The database as whoever may write the file has it; `forced`: without what stops mistakes."""
    with contextlib.closing(sqlite3.connect(data_dir / "ledger.sqlite3", isolation_level=None)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
        for name in names if forced else ():
            connection.execute(f"DROP TRIGGER {name}")
        yield connection


async def verified(house: House, *anchors: str) -> Any:
    """What the server says of its log."""
    answer = await house.owner.get("/v1/admin/audit/verify", params={"anchor": list(anchors)})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def exported(house: House, after: int = 0) -> list[dict[str, Any]]:
    """The lines of the export."""
    answer = await house.owner.get("/v1/admin/audit", params={"after": after})
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


async def busy(house: House) -> None:
    """Do five things that are audited."""
    made = await house.make("one")
    await house.owner.put(f"/v1/shelf/{made['id']}", json={"boards": 5})
    await house.owner.get(f"/v1/shelf/{made['id']}/credentials")
    await house.key()
    await house.owner.delete(f"/v1/shelf/{made['id']}")


async def test_the_log_of_a_busy_installation_is_intact(house: House) -> None:
    await busy(house)
    found = await verified(house)
    assert (found["intact"], found["entries"], found["breaks"]) == (True, 5, [])


async def test_the_log_goes_on_after_the_next_start(data_dir: Path) -> None:
    for _ in range(2):
        async with opened(data_dir) as house:
            await house.key()
    async with opened(data_dir) as house:
        found = await verified(house)
        assert (found["intact"], found["entries"]) == (True, 2)


async def test_a_change_that_is_rolled_back_leaves_no_gap(house: House) -> None:
    await house.make("one")
    answer = await house.owner.post("/v1/shelf", json={"name": "one", "organisationName": ORGANISATION, "projectName": PROJECT})
    assert answer.status_code == 409
    await house.make("two")
    found = await verified(house)
    assert (found["intact"], found["entries"]) == (True, 2)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET principal = 'nobody' WHERE position = 2",
        "DELETE FROM audit WHERE position = 5",
        "INSERT OR REPLACE INTO audit SELECT position, at, 'nobody', credential, action, NULL, NULL, NULL, NULL, previous, hash"
        " FROM audit WHERE position = 2",
        "INSERT INTO audit (at, principal, credential, action) VALUES ('2026-01-01T00:00:00.000000Z', 'n', 'n', 'n')",
        "UPDATE audit_head SET position = 3",
        "DELETE FROM audit_head",
    ],
)
async def test_the_database_itself_refuses_to_change_the_log(house: House, statement: str) -> None:
    await busy(house)
    with (
        behind_its_back(house.core.settings.data_dir, forced=False) as connection,
        pytest.raises(sqlite3.IntegrityError, match="the audit log is append-only"),
    ):
        connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE audit SET principal = 'nobody' WHERE position = 2", "Entry 2 was changed."),
        ("UPDATE audit SET detail = NULL WHERE position = 1", "Entry 1 was changed."),
        ("DELETE FROM audit WHERE position = 3", "Entries 3 to 3 are missing."),
        ("DELETE FROM audit WHERE position >= 4", "Entries 4 to 5 were cut off at the end."),
        ("DELETE FROM audit", "Entries 1 to 5 were cut off at the end."),
        ("INSERT INTO audit SELECT 6, at, principal, credential, action, NULL, NULL, NULL, NULL, previous, hash"
         " FROM audit WHERE position = 5", "Entry 6 was changed."),
    ],
)  # fmt: skip
async def test_what_was_done_by_force_is_found(house: House, statement: str, said: str) -> None:
    await busy(house)
    with behind_its_back(house.core.settings.data_dir) as connection:
        connection.execute(statement)
    found = await verified(house)
    assert not found["intact"]
    assert found["breaks"][0]["message"] == said


async def test_what_is_written_after_a_cut_does_not_hide_it(house: House) -> None:
    await busy(house)
    with behind_its_back(house.core.settings.data_dir) as connection:
        connection.execute("DELETE FROM audit WHERE position = 5")
    await house.make("two")
    assert [one["message"] for one in (await verified(house))["breaks"]] == ["Entries 5 to 5 are missing."]


async def test_a_tail_cut_without_a_trace_is_found_by_an_anchor(house: House) -> None:
    await busy(house)
    kept = (await verified(house))["anchor"]
    with behind_its_back(house.core.settings.data_dir) as connection:
        connection.execute("DELETE FROM audit WHERE position >= 4")
        connection.execute("UPDATE audit_head SET position = 3, hash = (SELECT hash FROM audit WHERE position = 3)")
    assert (await verified(house))["intact"]
    assert [one["message"] for one in (await verified(house, kept))["breaks"]] == ["Entry 5, which the anchor names, is missing."]


async def test_an_export_verifies_by_itself(house: House) -> None:
    await busy(house)
    lines = await exported(house)
    verification = Verification()
    verification.take([AuditEntry.from_json(line) for line in lines])
    verification.finish(None)
    assert (verification.breaks, verification.entries) == ([], 5)
    assert str(verification.head) == (await verified(house))["anchor"]


async def test_an_export_can_begin_behind_an_entry(house: House) -> None:
    await busy(house)
    assert [line["position"] for line in await exported(house, after=3)] == [4, 5]


@pytest.mark.parametrize(("path", "bad"), [("", {"after": "x"}), ("/verify", {"anchor": "1:2"})])
async def test_a_bad_parameter_is_refused(house: House, path: str, bad: dict[str, str]) -> None:
    answer = await house.owner.get(f"/v1/admin/audit{path}", params=bad)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, next(iter(bad)))


async def entries(house: House, **wanted: str) -> Sequence[str]:
    """Actions of a project's entries."""
    answer = await house.owner.get("/v1/audit", params={**WHERE, **wanted})
    assert answer.status_code == 200, answer.text
    return [entry["action"] for entry in answer.json()["entries"]]


async def test_a_project_s_entries_are_filtered(house: House) -> None:
    await busy(house)
    other = await house.make("two")
    assert await entries(house) == ["provision", "update", "credentials.read", "key.create", "delete", "provision"]
    assert await entries(house, action="delete") == ["delete"]
    assert await entries(house, resource=other["id"]) == ["provision"]
    assert await entries(house, principal="somebody else") == []
    assert await entries(house, since="2999-01-01T00:00:00+01:00") == []
    assert len(await entries(house, since="2020-01-01T00:00:00Z")) == 6


@pytest.mark.parametrize("since", ["yesterday", "2026-01-01T00:00:00", ""])
async def test_a_moment_without_its_offset_is_refused(house: House, since: str) -> None:
    answer = await house.owner.get("/v1/audit", params={**WHERE, "since": since})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "since")


async def test_the_owner_of_an_organisation_may_not_read_the_installation_s_log(house: House) -> None:
    await house.make("one")
    owner = await house.key("owner")
    for path in ("", "/verify"):
        assert (await owner.get(f"/v1/admin/audit{path}")).status_code == 403


async def test_entries_from_before_the_chain_stay_and_are_told_apart(data_dir: Path) -> None:
    written_before(data_dir)
    async with opened(data_dir) as house:
        await house.key()
        found = await verified(house)
    assert (found["intact"], found["unchained"], found["entries"]) == (True, 2, 3)


def written_before(data_dir: Path) -> None:
    """A database of a version that knew no chain, with two entries."""
    data_dir.mkdir()
    with contextlib.closing(sqlite3.connect(data_dir / "ledger.sqlite3", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE migrations (section TEXT, number INTEGER, name TEXT, PRIMARY KEY (section, number))")
        for number, file, script in load_migrations(CORE):
            if file.endswith("_audit_chain.sql"):
                break
            connection.executescript(script)
            connection.execute("INSERT INTO migrations VALUES ('core', ?, ?)", (number, file))
        for second in (1, 2):
            at = f"2026-01-01T00:00:0{second}.000000Z"
            connection.execute("INSERT INTO audit (at, principal, credential, action) VALUES (?, 'p', 'c', 'a')", (at,))
