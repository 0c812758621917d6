"""What the doctor finds where the condition is real, and that it finds nothing where there is none."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography.fernet import Fernet
from tests.integration.conftest import House, opened
from tests.integration.shelf import Shelf, Stool, Workshop

from enopax_core import INSTALLATION, Core, Event, Finding, Settings, Tables, hookimpl
from enopax_core.builtin import TABLES
from enopax_core.core.backups import LEDGER
from enopax_core.core.doctor.ports import strangers
from enopax_core.core.lock import DirectoryLock
from enopax_core.ledger import operations, ports
from enopax_core.ledger.sqlite import SqliteLedger
from enopax_core.records.operation import OperationRecord, State
from enopax_core.records.port import PortRecord

pytestmark = pytest.mark.anyio
AT_ONCE = timedelta(0)


async def examined(house: House, *, fix: bool = False) -> dict[str, Finding]:
    """The findings of an open installation by check."""
    return by_check(await house.core.examination(INSTALLATION, fix=fix))


async def at_rest(data_dir: Path, *plugins: object, port: int = 0) -> dict[str, Finding]:
    """The findings of one that is closed."""
    workshop = Workshop()
    core = Core(Settings(data_dir=data_dir, port=port), plugins=[Shelf(workshop), Stool(workshop), *plugins])
    return by_check(await core.examine_at_rest())


def by_check(findings: Sequence[Finding]) -> dict[str, Finding]:
    """Each check is named once where nothing is wrong twice."""
    return {finding.check: finding for finding in findings}


def worse(findings: dict[str, Finding]) -> set[str]:
    """Names of the checks that are not content. How full the disk is, and whether anybody backs up, is no concern here."""
    return {name for name, finding in findings.items() if finding.severity != "ok"} - {"disk", "backup"}


@pytest.fixture
async def closed(data_dir: Path) -> Path:
    """The data directory of an installation that was used and closed."""
    async with opened(data_dir) as house:
        await house.make(password="s3cret")
    return data_dir


@contextlib.contextmanager
def listening() -> Iterator[int]:
    """A port on which this process listens, which does not work in any data directory."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


# ── All is well ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_open_installation_that_is_used_has_nothing_wrong(house: House) -> None:
    await house.make(password="s3cret")
    await house.core.host.ports.allocate("one", "main")
    assert worse(await examined(house)) == set()


async def test_one_at_rest_has_nothing_wrong(closed: Path) -> None:
    assert worse(await at_rest(closed)) == set()


# ── Ports ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def give(data_dir: Path, number: int) -> None:
    """Write down that a port is a service's."""
    async with SqliteLedger(data_dir / LEDGER, tables=[TABLES]) as ledger:
        await ledger.write(partial(ports.take, number=number, owner="shelf-1", name="main"))


async def test_a_port_of_the_server_that_somebody_else_has_is_told(closed: Path) -> None:
    with listening() as port:
        found = (await at_rest(closed, port=port))["ports"]
    assert (found.severity, str(port) in found.message, f":{port}" in found.remedy) == ("error", True, True)


async def test_a_port_of_a_service_on_which_somebody_else_listens_is_told(closed: Path) -> None:
    with listening() as port:
        await give(closed, port)
        found = (await at_rest(closed))["ports"]
        async with opened(closed) as house:
            assert (await examined(house))["ports"] == found
    assert (found.severity, str(port) in found.message, "shelf-1" in found.message) == ("error", True, True)


async def test_with_containers_too_somebody_else_in_none_is_told(data_dir: Path) -> None:
    with listening() as port:
        record = PortRecord(number=port, owner="shelf-1", name="main", allocated_at=datetime.now(UTC))
        assert [one.severity for one in strangers([record], data_dir, contained=True)] == ["error"]


async def test_a_service_that_listens_on_its_own_port_is_no_stranger(closed: Path) -> None:
    program = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    work = closed / "services" / "shelf-1"
    work.mkdir(parents=True)
    async with await anyio.open_process([sys.executable, "-c", program], cwd=work) as service:
        assert service.stdout is not None
        await give(closed, int(await service.stdout.receive()))
        found = await at_rest(closed)
        service.terminate()
    assert found["ports"].severity == "ok"


# ── Operations ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def accept(data_dir: Path, **fields: Any) -> None:
    """Put an operation into the ledger as a server that was frozen would have left it; times count from now."""
    operation: dict[str, Any] = {
        **{"id": "op-1", "type": "update", "subject": "shelf-1", "resource": "shelf-1", "endpoint": "shelf"},
        **{"organisation": None, "project": None, "due_at": AT_ONCE, "created_at": AT_ONCE},
        **fields,
    }
    now = datetime.now(UTC)
    given: dict[str, Any] = {name: now + value if isinstance(value, timedelta) else value for name, value in operation.items()}
    async with SqliteLedger(data_dir / LEDGER, tables=[TABLES]) as ledger:
        await ledger.write(partial(operations.add, record=OperationRecord(**given)))


RUNNING = {"state": State.RUNNING, "owner": "frozen", "started_at": AT_ONCE, "lease_until": timedelta(hours=1)}


@pytest.mark.parametrize(
    ("fields", "severity", "remedy"),
    [
        (RUNNING, "ok", ""),
        ({**RUNNING, "lease_until": -timedelta(minutes=5)}, "error", "restart the server"),
        ({**RUNNING, "started_at": -timedelta(hours=2)}, "warning", "enopax operations cancel op-1"),
        ({**RUNNING, "started_at": -timedelta(hours=2), "cancel_requested": True}, "warning", "restart the server"),
        ({"endpoint": "ship", "due_at": -timedelta(minutes=5)}, "warning", "install the plugin that offers ship"),
    ],
)
async def test_operations_that_do_not_get_on_are_told(closed: Path, fields: dict[str, Any], severity: str, remedy: str) -> None:
    await accept(closed, **fields)
    with DirectoryLock(closed):  # as a server that hangs holds it
        findings = await at_rest(closed)
    found = findings["operations"]
    assert (found.severity, found.remedy.startswith(remedy)) == (severity, True)
    assert findings["server"].severity == "warning"


async def test_with_the_server_stopped_what_ran_waits_for_the_next_start(closed: Path) -> None:
    await accept(closed, **{**RUNNING, "lease_until": -timedelta(minutes=5)})
    assert (await at_rest(closed))["operations"].severity == "ok"


async def test_an_operation_that_nobody_takes_up_is_told(closed: Path) -> None:
    await accept(closed, due_at=-timedelta(minutes=5))
    found = await at_rest(closed)
    assert (found["queue"].severity, found["queue"].remedy) == ("warning", "enopax serve")
    assert found["operations"].severity == "ok"


# ── Keys and secrets ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_owner_key_that_was_revoked_is_told(house: House) -> None:
    (owner,) = (await house.get("/v1/keys"))["keys"]
    assert (await house.owner.delete(f"/v1/keys/{owner['id']}")).status_code == 200
    found = (await examined(house))["owner key"]
    assert (found.severity, "recover-owner-key" in found.remedy) == ("warning", True)


async def test_a_key_file_that_does_not_open_what_is_sealed_is_told(closed: Path) -> None:
    (closed / "vault.keys").write_bytes(Fernet.generate_key())
    found = (await at_rest(closed))["secrets"]
    assert (found.severity, "1 of 1 resources" in found.message, "backup" in found.remedy) == ("error", True, True)


async def test_a_key_file_that_holds_no_key_is_told(closed: Path) -> None:
    (closed / "vault.keys").write_text("nonsense\n")
    assert (await at_rest(closed))["secrets"].severity == "error"


async def test_a_key_that_ends_soon_is_told(house: House) -> None:
    ends = (house.hands() + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    await house.key(expiresAt=ends)
    assert (await examined(house))["expiring keys"].severity == "warning"


# ── Versions, clock, plugins ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_plugin_made_for_another_core_is_told(closed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = tmp_path / "enopax_future-1.0.dist-info"
    metadata.mkdir()
    requirement = "Requires-Dist: enopax-core>=99"
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: enopax-future\nVersion: 1.0\n{requirement}\n")
    (metadata / "entry_points.txt").write_text("[enopax]\nfuture = enopax_future\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = (await at_rest(closed))["versions"]
    assert (found.severity, found.remedy) == ("error", "pip install --upgrade enopax-future enopax-core")


async def test_what_the_next_start_changes_in_the_database_is_told_beforehand(closed: Path, tmp_path: Path) -> None:
    migrations = tmp_path / "migrations"
    migrations.mkdir()
    (migrations / "0001_notes.sql").write_text("CREATE TABLE notes (text TEXT);")

    class Notes:
        @hookimpl
        def enopax_tables(self) -> Iterable[Tables]:
            return [Tables(section="notes", folder=tmp_path)]

    plugin = Notes()
    found = (await at_rest(closed, plugin))["versions"]
    assert (found.severity, "notes 0001_notes.sql" in found.message) == ("warning", True)
    async with opened(closed, plugin):
        pass
    assert (await at_rest(closed, plugin))["versions"].severity == "ok"


async def test_a_server_of_another_version_than_the_installed_one_is_told(house: House) -> None:
    (house.core.settings.data_dir / "server.json").write_text(json.dumps({"version": "0.0.1"}))
    assert (await examined(house))["versions"].remedy == "restart the server: enopax serve"


async def test_a_clock_that_went_back_is_told(house: House) -> None:
    await house.make()
    house.hands.move(hours=-1)
    assert (await examined(house))["clock"].severity == "error"


async def test_a_plugin_that_cannot_be_used_is_told(house: House) -> None:
    house.core.host.report_problem("broken", "Its settings name a file that is not there.")
    assert (await examined(house))["plugins"].remedy == "enopax plugin check broken"


async def test_a_plugin_that_fails_on_an_event_is_told(data_dir: Path) -> None:
    failed = list[Event]()

    class Deaf:
        @hookimpl
        async def enopax_event(self, event: Event) -> None:
            failed.append(event)
            raise ValueError

    async with opened(data_dir, Deaf()) as house:
        await house.make()
        await house.until(lambda: failed)
        found = await examined(house)
        with anyio.fail_after(60):
            while found["events"].severity == "ok":  # the failure is written down after it was raised
                found = await examined(house)
    assert found["events"].severity == "warning"


# ── What plugins look at themselves ───────────────────────────────────────────────────────────────────────────────────


class Lamp:
    """A plugin that examines itself, and mends what it is asked to."""

    lit = False

    @hookimpl
    async def enopax_examine(self, fix: bool) -> Iterable[Finding]:
        self.lit = self.lit or fix
        said = "The lamp burns." if self.lit else "The lamp is out."
        return [Finding(check="lamp", severity="ok" if self.lit else "warning", message=said, remedy="light it")]


async def test_what_a_plugin_finds_is_shown_and_what_it_mends_is_mended(data_dir: Path) -> None:
    async with opened(data_dir, Lamp()) as house:
        assert (await examined(house))["lamp"].severity == "warning"
        assert (await examined(house, fix=True))["lamp"].severity == "ok"


async def test_a_plugin_that_cannot_examine_itself_hides_none_of_the_others(data_dir: Path) -> None:
    class Dark:
        @hookimpl
        async def enopax_examine(self) -> Iterable[Finding]:
            raise ValueError

    async with opened(data_dir, Dark(), Lamp()) as house:
        found = await examined(house)
    (failed,) = (finding for name, finding in found.items() if "Dark" in name)
    assert (failed.severity, found["lamp"].severity) == ("error", "warning")
