"""Servers that somebody has signed in to: addresses and keys in a file that its owner alone can read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from enopax_core.errors import SettingsError
from enopax_core.files import write_private


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A server and who one is there."""

    url: str
    key: str = field(repr=False)
    organisation: str | None = None
    project: str | None = None


DEFAULT = "default"  # the profile of whoever has signed in to one server alone


def file_of(environ: Mapping[str, str]) -> Path:
    """Where profiles are kept (XDG Base Directory Specification)."""
    base = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".config")
    return Path(base) / "enopax/profiles.json"


def load(path: Path) -> dict[str, Profile]:
    """All profiles by name. Raises SettingsError."""
    if not path.exists():
        return {}
    try:
        return {name: Profile(**one) for name, one in json.loads(path.read_text("utf-8")).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise SettingsError(f"{path} cannot be read: remove it and sign in again with enopax login URL.") from error


def save(path: Path, name: str, profile: Profile) -> None:
    """Add or replace a profile, in one step."""
    profiles = {**load(path), name: profile}
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = {name: {k: v for k, v in asdict(one).items() if v is not None} for name, one in profiles.items()}
    write_private(path, json.dumps(content, indent=2).encode() + b"\n")
