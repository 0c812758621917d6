"""The file that a backup is: whatever happens to it, it is either whole or refused."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from enopax_core.core.archive import FORMAT, HEADER, ROOT, SUMS, Header, PluginVersion, pack, unpack
from enopax_core.errors import BackupRefused

WRITTEN = Header(
    created_at="2026-01-01T00:00:00.000000Z",
    version="0.1.0",
    plugins={"git": PluginVersion(distribution="enopax-git", version="0.1.0", data=True)},
    anchor="1:" + "0" * 64,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Something to back up: nested, empty, executable, larger than a piece of the stream, with odd names."""
    root = tmp_path / "made"
    (root / "plugins/git/refs/heads").mkdir(parents=True)
    (root / "plugins/git/empty").mkdir()
    (root / "ledger.sqlite3").write_bytes(os.urandom(3 << 20))
    (root / "vault.keys").write_text("secret")
    (root / "vault.keys").chmod(0o600)
    (root / "plugins/git/refs/heads" / ("ä b " * 40)).write_text("0" * 40)
    (root / "plugins/git/nothing").touch()
    (root / "plugins/git/hook").write_text("#!/bin/sh\n")
    (root / "plugins/git/hook").chmod(0o555)
    os.utime(root / "plugins/git/hook", (1_000_000_000, 1_000_000_000))
    return root


@pytest.fixture
def archive(folder: Path) -> bytes:
    """The folder, packed."""
    return b"".join(pack(folder, WRITTEN))


def everything(folder: Path) -> dict[str, tuple[int, bytes | None]]:
    """Mode and content of all that lies below."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mode & 0o777, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    }


def test_what_is_unpacked_is_what_was_packed(folder: Path, archive: bytes, tmp_path: Path) -> None:
    (tmp_path / "back").mkdir()
    assert unpack(io.BytesIO(archive), tmp_path / "back") == WRITTEN
    found, packed = everything(tmp_path / "back"), everything(folder)
    assert {name: content for name, (_, content) in found.items()} == {name: content for name, (_, content) in packed.items()}
    assert found["plugins/git/hook"][0] == 0o555
    assert found["vault.keys"][0] == 0o600
    assert (tmp_path / "back/plugins/git/hook").stat().st_mtime == 1_000_000_000


def test_without_a_folder_it_is_only_verified(archive: bytes) -> None:
    assert unpack(io.BytesIO(archive)) == WRITTEN


def test_ordinary_tools_read_and_verify_it(archive: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(archive)
    subprocess.run(["tar", "-xf", tmp_path / "a.tar", "-C", tmp_path], check=True, timeout=60)
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", SUMS], cwd=tmp_path / ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_it_is_made_in_pieces_that_fit_into_memory(folder: Path) -> None:
    assert max(len(piece) for piece in pack(folder, WRITTEN)) < 3 << 20


def test_it_says_that_it_holds_secrets(archive: bytes) -> None:
    assert b"holds the keys that open every secret" in archive[:4096]


@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.7, 0.999])
def test_one_that_was_cut_off_is_refused(archive: bytes, part: float) -> None:
    whole = len(archive.rstrip(b"\0"))
    with pytest.raises(BackupRefused):
        unpack(io.BytesIO(archive[: int(whole * part)]))


def test_one_without_its_end_is_refused_although_every_file_is_there(archive: bytes) -> None:
    end = archive.rindex(f"{ROOT}/{SUMS}".encode())
    with pytest.raises(BackupRefused, match="its end is missing"):
        unpack(io.BytesIO(archive[:end] + bytes(10240)))


def test_a_flipped_bit_is_found_and_named(archive: bytes) -> None:
    at = archive.index(b"secret\0")
    damaged = archive[:at] + b"sEcret" + archive[at + 6 :]
    with pytest.raises(BackupRefused, match=r"damaged: vault\.keys is not what was written"):
        unpack(io.BytesIO(damaged))


def test_a_file_put_in_afterwards_is_found(folder: Path, archive: bytes) -> None:
    sums = archive.rindex(f"{ROOT}/{SUMS}".encode())
    info = tarfile.TarInfo(f"{ROOT}/added")
    with pytest.raises(BackupRefused, match="damaged"):
        unpack(io.BytesIO(archive[:sums] + info.tobuf(tarfile.PAX_FORMAT) + archive[sums:]))


@pytest.mark.parametrize(
    "content", [b"", b"no archive at all", bytes(20480), os.urandom(20480)], ids=["empty", "text", "zeros", "noise"]
)
def test_what_is_no_archive_is_refused(content: bytes) -> None:
    with pytest.raises(BackupRefused):
        unpack(io.BytesIO(content))


def forged(*members: tarfile.TarInfo) -> bytes:
    """An archive with these members behind a right header."""
    buffer = io.BytesIO()
    with tarfile.open(mode="w", fileobj=buffer) as archive:
        info = tarfile.TarInfo(f"{ROOT}/{HEADER}")
        info.size = len(WRITTEN.to_json())
        archive.addfile(info, io.BytesIO(WRITTEN.to_json()))
        for member in members:
            archive.addfile(member)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["../evil", "/evil", f"{ROOT}/../evil", f"{ROOT}/a/../../evil", "elsewhere/evil", ROOT])
def test_a_name_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "back").mkdir()
    with pytest.raises(BackupRefused, match="holds what no backup does"):
        unpack(io.BytesIO(forged(tarfile.TarInfo(name))), tmp_path / "back")
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_anything_but_files_and_folders_is_refused(kind: bytes, tmp_path: Path) -> None:
    member = tarfile.TarInfo(f"{ROOT}/odd")
    member.type, member.linkname = kind, "/etc/passwd"
    with pytest.raises(BackupRefused, match="holds what no backup does"):
        unpack(io.BytesIO(forged(member)), tmp_path)


def test_a_link_is_not_packed(folder: Path) -> None:
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(ValueError, match="plain files and folders alone"):
        list(pack(folder, WRITTEN))


def test_a_newer_format_is_refused_with_the_version_that_wrote_it(folder: Path) -> None:
    newer = b"".join(pack(folder, replace(WRITTEN, format=FORMAT + 1, version="9.0")))
    with pytest.raises(BackupRefused, match=r"Enopax 9\.0 wrote this backup in format 2; this version reads up to 1"):
        unpack(io.BytesIO(newer))


def test_the_same_folder_gives_the_same_archive(folder: Path, archive: bytes) -> None:
    again = b"".join(pack(folder, WRITTEN))
    assert hashlib.sha256(again).digest() == hashlib.sha256(archive).digest()
