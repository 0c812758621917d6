"""Each check of the doctor: what it finds, how bad that is, and that there is a remedy."""

from __future__ import annotations

import os
import pwd
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from enopax_core.builtin.keys import Key
from enopax_core.core.backups import KEYS
from enopax_core.core.doctor import backup, clock, disk, events, keys, permissions, plugins, queue
from enopax_core.ledger.events import Cursor
from enopax_core.registry import Problem
from enopax_core.runtime.access import make_directory
from enopax_core.runtime.user import User

NOW = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(("free", "severity"), [(50, "ok"), (9, "warning"), (2, "error"), (0, "error")])
def test_a_disk_that_fills_up_is_told(free: int, severity: str) -> None:
    assert disk.space(free, 100).severity == severity


@pytest.mark.parametrize(("days", "severity"), [(None, "warning"), (1, "ok"), (8, "warning")])
def test_a_backup_that_is_old_or_missing_is_told(days: int | None, severity: str) -> None:
    last = None if days is None else NOW - timedelta(days=days)
    assert backup.age(last, NOW, Path("data")).severity == severity


@pytest.mark.parametrize(("ahead", "severity"), [(None, "ok"), (-60, "ok"), (1, "ok"), (60, "error")])
def test_a_clock_that_went_back_is_told(ahead: int | None, severity: str) -> None:
    newest = None if ahead is None else NOW + timedelta(seconds=ahead)
    assert clock.behind(newest, NOW).severity == severity


@pytest.mark.parametrize(("seconds", "severity"), [(None, "ok"), (5, "ok"), (300, "warning")])
def test_operations_that_nobody_takes_are_told(seconds: int | None, severity: str) -> None:
    oldest = None if seconds is None else NOW - timedelta(seconds=seconds)
    assert queue.waiting(oldest, 3, NOW, running=True).severity == severity


def test_with_the_server_stopped_the_remedy_of_a_queue_is_to_start_it() -> None:
    assert queue.waiting(NOW - timedelta(hours=1), 3, NOW, running=False).remedy == "enopax serve"


def test_only_plugins_that_fail_on_events_are_told() -> None:
    cursors = [Cursor(consumer="good", position=3), Cursor(consumer="bad", position=2, failures=4, error="ValueError")]
    assert [one.remedy for one in events.failing(cursors)] == ["enopax plugin check bad"]


@pytest.mark.parametrize(("days", "told"), [(None, 0), (-1, 0), (3, 1), (30, 0)])
def test_only_keys_that_end_soon_are_told(days: int | None, told: int) -> None:
    key = Key(
        id="key-1",
        position=1,
        preview="enx_key_1234",
        name="ci",
        role="member",
        permissions=None,
        organisation=None,
        project=None,
        created_at=NOW,
        expires_at=None if days is None else NOW + timedelta(days=days),
    )
    assert len(list(keys.expiring([key], NOW))) == told


def test_a_plugin_that_cannot_be_used_is_an_error() -> None:
    (told,) = plugins.unusable([Problem(plugin="broken", message="no module")])
    assert (told.severity, told.remedy) == ("error", "enopax plugin check broken")


@pytest.fixture
def installation(tmp_path: Path) -> Path:
    """A directory with its key files."""
    tmp_path.chmod(0o700)
    for name in KEYS:
        (tmp_path / name).write_text("key\n")
        (tmp_path / name).chmod(0o600)
    return tmp_path


@pytest.mark.parametrize("name", [".", "vault.keys", "owner.key"])
def test_what_others_may_read_is_told_and_mended(installation: Path, name: str) -> None:
    path = installation / name
    path.chmod(0o755)
    (told,) = permissions.open_to_others(installation, fix=False)
    assert (told.severity, told.remedy) == ("error", "enopax doctor --fix")
    assert [one.severity for one in permissions.open_to_others(installation, fix=True)] == ["ok"]
    assert list(permissions.open_to_others(installation, fix=False)) == []
    assert path.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's services run as another user, who is let pass")
def test_whom_services_run_as_may_pass_and_still_may_after_others_were_shut_out(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o700)
    nobody = pwd.getpwnam("nobody")
    user = User(name="nobody", uid=nobody.pw_uid, gid=nobody.pw_gid, dropped=True)
    make_directory(data_dir / "services" / "one", user)
    assert list(permissions.open_to_others(data_dir, fix=False)) == []
    data_dir.chmod(0o755)
    assert [one.severity for one in permissions.open_to_others(data_dir, fix=True)] == ["ok"]
    enter = ["setpriv", "--reuid", "nobody", "--clear-groups", "ls"]
    assert subprocess.run([*enter, data_dir / "services" / "one"], check=False).returncode == 0
    assert subprocess.run([*enter, data_dir], check=False, capture_output=True).returncode != 0


@pytest.mark.parametrize(("name", "severity"), [("vault.keys", "error"), ("owner.key", "warning")])
def test_a_missing_key_file_is_told(installation: Path, name: str, severity: str) -> None:
    (installation / name).unlink()
    (told,) = keys.files(installation)
    assert (told.severity, name in told.message, bool(told.remedy)) == (severity, True, True)


def test_an_unfinished_change_of_keys_is_told(installation: Path) -> None:
    (installation / "vault.keys").write_text("new\nold\n")
    (told,) = keys.files(installation)
    assert told.remedy == f"enopax rotate-secrets --data-dir {installation}"
