"""What is worked out without a server: checksums, windows, addresses, the script that archives."""

from __future__ import annotations

import gzip
import ipaddress
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from enopax_postgres import hba
from enopax_postgres.addresses import Address
from enopax_postgres.authority import AUTHORITY_LIFE, HAND_OVER_BEFORE, SERVER_LIFE, SUCCEED_BEFORE, Authority, is_due
from enopax_postgres.changes import in_window
from enopax_postgres.cluster import crc32c
from enopax_postgres.installations import NEEDED, Installations
from enopax_postgres.looks import limited
from enopax_postgres.parameters import parameters
from enopax_postgres.plans import GIB, plans, size_of
from enopax_postgres.quota import Level, level
from enopax_postgres.serverfiles import SEGMENT_BYTES, archive_script, quoted

SMALL, MEDIUM = plans(10 * GIB, 50 * GIB)
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def test_the_checksum_is_that_of_castagnoli() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720, and every catalogue of checksums


@pytest.mark.parametrize(
    ("how", "status", "said"),
    [
        ({"cpu": "cgroup", "memory": "cgroup"}, "True", "all processes together (cgroup); memory for all"),
        ({"cpu": "nice", "memory": "rlimit"}, "False", "others come first (nice); private memory for each process"),
        ({"cpu": "none", "memory": "none"}, "False", "Processors are not limited; memory is not limited."),
        ({}, "Unknown", ""),
    ],
)
def test_a_database_says_how_its_plan_s_limits_are_kept(how: dict[str, str], status: str, said: str) -> None:
    condition = limited(how)
    assert condition.status == status
    assert said in condition.message


# ── Maintenance window ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("now", "inside"),
    [
        ("2026-11-29T02:59:59Z", False),
        ("2026-11-29T03:00:00Z", True),
        ("2026-11-29T03:59:59Z", True),
        ("2026-11-29T04:00:00Z", False),
        ("2026-11-30T03:30:00Z", False),
        ("2026-11-29T05:30:00+02:00", True),
    ],
)
def test_the_window_is_an_hour_of_the_week(now: str, inside: bool) -> None:
    assert in_window("Sun 03:00", datetime.fromisoformat(now)) is inside


def test_a_window_may_pass_midnight() -> None:
    assert in_window("Sun 23:30", datetime(2026, 11, 30, 0, 10, tzinfo=UTC))


# ── Addresses and access ─────────────────────────────────────────────────────────────────────────────────────────────


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    assert Address(listen="::1", public="::1").url(5432, "app") == "postgresql://[::1]:5432/app?sslmode=require"


def test_what_a_password_holds_is_quoted_in_a_url() -> None:
    url = Address(listen="127.0.0.1", public="db.example.org").full_url(5432, "app", "app_a", "p/w@:")
    assert url == "postgresql://app_a:p%2Fw%40%3A@db.example.org:5432/app?sslmode=require"


def test_administration_always_finds_the_server_on_this_machine() -> None:
    assert Address(listen="192.0.2.7", public="192.0.2.7").listens == ["192.0.2.7", "127.0.0.1"]
    assert Address(listen="0.0.0.0", public="db.example.org").listens == ["0.0.0.0"]


def test_no_line_lets_anybody_in_without_tls_or_with_a_weaker_method_than_scram() -> None:
    for line in hba.lines("app", ("app_a", "app_b"), ["0.0.0.0/0", "::/0"]).splitlines():
        kind, *_, method = line.split()
        if kind != "local":  # within this machine: the pooler
            assert (kind, method in ("cert", "scram-sha-256")) == ("hostssl", True)


def test_only_this_machine_may_try_to_be_the_administration() -> None:
    found = [line.split() for line in hba.lines("app", ("app_a",), ["0.0.0.0/0"]).splitlines()]
    assert {parts[3] for parts in found if parts[2] in (hba.ADMIN, hba.REPLICATION, "all")} == set(hba.LOOPBACK)


def test_only_the_servers_account_may_be_the_pooler() -> None:
    (line,) = [line for line in hba.lines("app", ("app_a",), ["0.0.0.0/0"]).splitlines() if hba.POOLER in line]
    assert line == "local app enopax_pooler peer map=enopax_pooler"
    assert hba.identities("enopax") == 'enopax_pooler "enopax" enopax_pooler\n'


# ── Certificates ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_certificate_names_hosts_and_addresses_and_is_signed_by_the_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    issued = x509.load_pem_x509_certificate(authority.issue_server("one", ["db.example.org", "::1"], NOW).certificate)
    issued.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate(NOW)))
    names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["db.example.org"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("::1")]


def test_the_authority_stays_the_same(tmp_path: Path) -> None:
    first = Authority(tmp_path / "authority").certificate(NOW)
    assert Authority(tmp_path / "authority").certificate(NOW) == first


def test_only_its_owner_can_read_the_authoritys_key(tmp_path: Path) -> None:
    Authority(tmp_path / "authority").certificate(NOW)
    (file,) = (tmp_path / "authority").iterdir()
    assert file.stat().st_mode & 0o077 == 0


def test_a_successor_is_trusted_a_year_before_it_issues_the_first_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    (first,) = x509.load_pem_x509_certificates(authority.certificate(NOW))
    trusted = NOW + AUTHORITY_LIFE - SUCCEED_BEFORE + timedelta(days=1)
    former, successor = x509.load_pem_x509_certificates(authority.certificate(trusted))
    assert former == first
    issued = x509.load_pem_x509_certificate(authority.issue_server("one", ["localhost"], trusted).certificate)
    issued.verify_directly_issued_by(first)
    handed_over = NOW + AUTHORITY_LIFE - HAND_OVER_BEFORE + timedelta(days=1)
    issued = x509.load_pem_x509_certificate(authority.issue_server("one", ["localhost"], handed_over).certificate)
    issued.verify_directly_issued_by(successor)
    assert x509.load_pem_x509_certificates(authority.certificate(handed_over)) == [former, successor]


def test_an_authority_that_has_ended_is_trusted_no_more(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.certificate(NOW)
    _, successor = x509.load_pem_x509_certificates(authority.certificate(NOW + AUTHORITY_LIFE - HAND_OVER_BEFORE))
    assert x509.load_pem_x509_certificates(authority.certificate(NOW + AUTHORITY_LIFE)) == [successor]


@pytest.mark.parametrize(("age", "due"), [(timedelta(days=1), False), (SERVER_LIFE - timedelta(days=29), True)])
def test_a_certificate_is_due_in_its_last_month(tmp_path: Path, age: timedelta, due: bool) -> None:
    issued = Authority(tmp_path).issue_server("one", ["localhost"], NOW)
    assert is_due(issued.certificate, ["localhost"], NOW + age) is due


def test_a_certificate_that_lacks_a_name_is_due(tmp_path: Path) -> None:
    issued = Authority(tmp_path).issue_server("one", ["localhost"], NOW)
    assert is_due(issued.certificate, ["localhost", "db.example.org"], NOW)


# ── Disk ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("share", "now", "then"),
    [
        (0.99, Level.OPEN, Level.OPEN),
        (1.00, Level.OPEN, Level.READ_ONLY),
        (0.96, Level.READ_ONLY, Level.READ_ONLY),
        (0.94, Level.READ_ONLY, Level.OPEN),
        (1.10, Level.READ_ONLY, Level.CLOSED),
        (1.05, Level.CLOSED, Level.READ_ONLY),
        (0.96, Level.CLOSED, Level.READ_ONLY),
    ],
)
def test_a_full_database_is_read_only_until_there_is_room_again(share: float, now: Level, then: Level) -> None:
    assert level(share, now) is then


# ── Parameters ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_memory_follows_the_plan() -> None:
    small, medium = (parameters(size_of(plan), 17) for plan in (SMALL, MEDIUM))
    assert (small["shared_buffers"], medium["shared_buffers"]) == ("1024MB", "4096MB")


def test_an_older_version_gets_no_parameter_that_it_does_not_know() -> None:
    assert "summarize_wal" not in parameters(size_of(SMALL), 16)


def test_a_path_with_quotes_stays_one_string() -> None:
    assert quoted("/it's\\here") == "'/it''s\\\\here'"


# ── The archive ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Log:
    """A data directory with a write-ahead log, as the script finds it."""

    def __init__(self, folder: Path) -> None:
        self.data, self.archive, self.gap = folder / "data", folder / "the archive", folder / "gap"
        (self.data / "pg_wal/archive_status").mkdir(parents=True)
        self.archive.mkdir()
        self.script = folder / "archive-wal"
        self.script.write_bytes(archive_script(self.archive / "1", self.gap, most=4 * SEGMENT_BYTES))

    def add(self, name: str, content: bytes = b"x" * 1000) -> None:
        """A segment that waits for the archive."""
        (self.data / "pg_wal" / name).write_bytes(content)
        (self.data / f"pg_wal/archive_status/{name}.ready").touch()

    def run(self, name: str) -> int:
        """Call the script as PostgreSQL does."""
        return subprocess.run(
            ["/bin/sh", self.script, f"pg_wal/{name}", name], cwd=self.data, capture_output=True, check=False
        ).returncode


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def test_a_segment_is_archived_whole(log: Log) -> None:
    log.add("A", b"content")
    assert log.run("A") == 0
    assert gzip.decompress((log.archive / "1/A.gz").read_bytes()) == b"content"


def test_a_segment_that_is_archived_already_is_done(log: Log) -> None:
    log.add("A")
    log.run("A")
    assert log.run("A") == 0


def test_another_segment_of_the_same_name_is_not_taken(log: Log) -> None:
    log.add("A", b"one")
    log.run("A")
    log.add("A", b"two")
    assert log.run("A") == 1


def test_a_segment_waits_while_the_archive_takes_nothing(log: Log) -> None:
    log.add("A")
    log.archive.rmdir()
    log.archive.touch()
    assert log.run("A") == 1
    assert not log.gap.exists()


def test_past_the_limit_segments_are_given_up_and_noted(log: Log) -> None:
    for name in "ABCDE":
        log.add(name)
    log.archive.rmdir()
    log.archive.touch()
    assert log.run("A") == 0
    assert log.gap.read_text().split()[1] == "A"


# ── Programs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_newest_version_is_the_default() -> None:
    known = Installations("", "")
    assert known.get("default").major == max(known.by_major)


def test_a_directory_without_postgresql_is_passed_over(tmp_path: Path) -> None:
    assert Installations(str(tmp_path), str(tmp_path)).by_major == Installations("", "").by_major


def test_programs_that_this_account_may_not_run_are_passed_over(tmp_path: Path) -> None:
    for name in NEEDED:
        (tmp_path / name).touch(mode=0o600)
    assert Installations(str(tmp_path), "").by_major == Installations("", "").by_major
