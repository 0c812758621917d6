"""Servers that somebody has signed in to: addresses and keys in a file that its owner alone can read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from enopax_core.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A server and who one is there."""

    url: str
    key: str = field(repr=False)


def file_of(environ: Mapping[str, str]) -> Path:
    """Where profiles are kept (XDG Base Directory Specification)."""
    base = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".config")
    return Path(base) / "enopax/profiles.json"


def load(path: Path) -> dict[str, Profile]:
    """All profiles by name. Raises SettingsError."""
    if not path.exists():
        return {}
    try:
        return {name: Profile(url=one["url"], key=one["key"]) for name, one in json.loads(path.read_text("utf-8")).items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"{path} cannot be read: sign in again with enopax login.") from error


def save(path: Path, name: str, profile: Profile) -> None:
    """Add or replace a profile, in one step."""
    profiles = {**load(path), name: profile}
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump({name: {"url": one.url, "key": one.key} for name, one in profiles.items()}, file, indent=2)
    draft.replace(path)
