"""The file that a backup is: a tar archive, made and read as a stream.

Its first member is `backup.json` (what it is and which versions wrote it), its last `SHA256SUMS`, in the form that
`sha256sum --check` reads. An archive that lacks its end lacks its sums, so one that was cut off is never taken for whole.
Format 1. Members lie below one folder and are plain files and folders: anything else is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from enopax_core.errors import BackupRefused

FORMAT = 1
ROOT = "enopax-backup"
HEADER, SUMS = "backup.json", "SHA256SUMS"
NOTICE = "This archive holds the keys that open every secret in it. Keep it as safe as the installation itself."
CHUNK = 1 << 20  # bytes
LARGEST_HEADER = 1 << 20
LARGEST_SUMS = 1 << 30


@dataclass(frozen=True, kw_only=True)
class PluginVersion:
    """A plugin at the time of the backup."""

    distribution: str | None  # None: it was not installed as one
    version: str | None
    data: bool  # whether it put something into the backup


@dataclass(frozen=True, kw_only=True)
class Header:
    """What an archive says of itself before anything else."""

    created_at: str  # RFC 3339
    version: str  # of enopax-core
    plugins: Mapping[str, PluginVersion]
    anchor: str  # of the audit log, `position:hash`; "" where there was none
    format: int = FORMAT
    notice: str = field(default=NOTICE, repr=False)

    def to_json(self) -> bytes:
        """As the archive holds it."""
        return json.dumps(asdict(self), indent=2).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes) -> Header:
        """Raises BackupRefused for what no version wrote, and for a format that only a newer one knows."""
        try:
            value: dict[str, Any] = json.loads(content)
            if value["format"] > FORMAT:
                raise BackupRefused(
                    f"Enopax {value.get('version', 'of a newer version')} wrote this backup in format {value['format']};"
                    f" this version reads up to {FORMAT}: install that version first."
                )
            value["plugins"] = {name: PluginVersion(**plugin) for name, plugin in value["plugins"].items()}
            return cls(**value)
        except (ValueError, KeyError, TypeError) as error:
            raise BackupRefused(f"The {HEADER} of this backup cannot be understood.") from error


def pack(folder: Path, header: Header) -> Iterator[bytes]:
    """The archive of a folder, in pieces of about a mebibyte. Nothing in the folder may change meanwhile."""
    sums: list[str] = []
    written, buffer = 0, bytearray()
    for piece in _members(folder, header, sums):
        buffer += piece
        if len(buffer) >= CHUNK:
            written += len(buffer)
            yield bytes(buffer)
            buffer.clear()
    written += len(buffer)
    end = 2 * tarfile.BLOCKSIZE
    yield bytes(buffer) + bytes(end + -(written + end) % tarfile.RECORDSIZE)


def unpack(source: IO[bytes], folder: Path | None = None) -> Header:
    """Read an archive to its end and hold every file against its sum; with `folder`, an empty one, write the files there.

    Blocks. Raises BackupRefused for a damaged archive, one without its end, and one that holds what no backup does.
    """
    try:
        with tarfile.open(mode="r|", fileobj=source) as archive:
            return _unpack(archive, folder)
    except (tarfile.TarError, EOFError) as error:
        raise BackupRefused("This is no backup, or it is damaged: it cannot be read to its end.") from error


# ── Making ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _members(folder: Path, header: Header, sums: list[str]) -> Iterator[bytes]:
    yield from _content(HEADER, header.to_json(), sums)
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            yield _block(name, path.stat(), tarfile.DIRTYPE)
        else:
            yield from _file(path, name, sums)
    yield from _content(SUMS, "".join(sums).encode(), [])


def _walk(folder: Path) -> Iterator[Path]:
    """Every file and folder below, sorted. Raises ValueError for anything else, such as a symbolic link."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not (path.is_dir() or path.is_file()) or "\n" in path.name or "\\" in path.name:
            raise ValueError(f"A backup holds plain files and folders alone, and {path.name!r} is none.")
        yield path
        if path.is_dir():
            yield from _walk(path)


def _file(path: Path, name: str, sums: list[str]) -> Iterator[bytes]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        stat = os.fstat(file.fileno())
        yield _block(name, stat, tarfile.REGTYPE)
        left = stat.st_size
        while left:
            chunk = file.read(min(CHUNK, left))
            if not chunk:
                raise ValueError(f"{name} became shorter while it was read.")
            digest.update(chunk)
            left -= len(chunk)
            yield chunk
        yield bytes(-stat.st_size % tarfile.BLOCKSIZE)
    sums.append(f"{digest.hexdigest()}  {name}\n")


def _content(name: str, content: bytes, sums: list[str]) -> Iterator[bytes]:
    info = tarfile.TarInfo(f"{ROOT}/{name}")
    info.size, info.mode = len(content), 0o600
    yield info.tobuf(tarfile.PAX_FORMAT) + content + bytes(-len(content) % tarfile.BLOCKSIZE)
    sums.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")


def _block(name: str, stat: os.stat_result, kind: bytes) -> bytes:
    info = tarfile.TarInfo(f"{ROOT}/{name}")
    info.type, info.mode, info.mtime = kind, stat.st_mode & 0o777, stat.st_mtime
    info.size = stat.st_size if kind == tarfile.REGTYPE else 0
    return info.tobuf(tarfile.PAX_FORMAT)


# ── Reading ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _unpack(archive: tarfile.TarFile, folder: Path | None) -> Header:
    first = archive.next()
    if first is None or first.name != f"{ROOT}/{HEADER}":
        raise BackupRefused("This is no backup of Enopax.")
    content = _whole(archive, first, LARGEST_HEADER)
    header = Header.from_json(content)
    found = [f"{hashlib.sha256(content).hexdigest()}  {HEADER}"]
    while (member := archive.next()) is not None:
        archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps them all, and a million take a gigabyte
        name = _name(member)
        if name == SUMS:
            _compare(_whole(archive, member, LARGEST_SUMS).decode("utf-8", "replace").splitlines(), found)
            return header
        if member.isdir():
            if folder is not None:
                (folder / name).mkdir(mode=member.mode & 0o777 | 0o700)
        else:
            found.append(f"{_extract(archive, member, None if folder is None else folder / name)}  {name}")
    raise BackupRefused("This backup was cut off: its end is missing.")


def _name(member: tarfile.TarInfo) -> str:
    """The path below the root. Raises BackupRefused for what could come to lie elsewhere, or is no file nor folder."""
    path = PurePosixPath(member.name)
    safe = path.parts[:1] == (ROOT,) and len(path.parts) > 1 and not {".", ".."} & set(path.parts)
    if not safe or not (member.isreg() or member.isdir()):
        raise BackupRefused(f"This backup holds what no backup does: {member.name!r}.")
    return path.relative_to(ROOT).as_posix()


def _whole(archive: tarfile.TarFile, member: tarfile.TarInfo, limit: int) -> bytes:
    file = archive.extractfile(member)
    if file is None or member.size > limit:
        raise BackupRefused("This is no backup of Enopax.")
    return file.read()


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path | None) -> str:
    """Read a file, write it where asked; its SHA-256."""
    digest, source = hashlib.sha256(), archive.extractfile(member)
    assert source is not None  # noqa: S101  # a regular file
    target = target or Path(os.devnull)
    flags = os.O_WRONLY | (0 if target == Path(os.devnull) else os.O_CREAT | os.O_EXCL)
    with os.fdopen(os.open(target, flags, 0o600), "wb") as file:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            file.write(chunk)
    if target != Path(os.devnull):
        target.chmod(member.mode & 0o777)
        os.utime(target, (member.mtime, member.mtime))
    return digest.hexdigest()


def _compare(claimed: list[str], found: list[str]) -> None:
    """Raises BackupRefused naming the first file that is not what was written."""
    for one, other in zip(claimed, found, strict=False):
        if one != other:
            raise BackupRefused(f"This backup is damaged: {other.partition('  ')[2]} is not what was written.")
    if len(claimed) != len(found):
        raise BackupRefused("This backup is damaged: files are missing, or more than were written.")
