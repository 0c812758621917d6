"""Which server is meant: one that somebody has signed in to, or the one of an installation on this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from enopax_core.cli.profiles import DEFAULT, Profile, file_of, load
from enopax_core.errors import EnopaxError, Malformed, SettingsError, Unauthenticated, Unreachable

HERE = Path("data")  # where `enopax serve` puts its data when nothing is said


@dataclass(frozen=True, kw_only=True)
class Found(Profile):
    """A server, and what to do where it does not answer as hoped."""

    runs: bool = True  # False: it is known to have died
    when_away: str
    when_refused: str

    def explained(self, error: EnopaxError) -> EnopaxError:
        """The error with what to do next, where that depends on the server."""
        hint = {Unreachable: self.when_away, Unauthenticated: self.when_refused}.get(type(error))
        return error if hint is None else type(error)(f"{error.message} {hint}")


def find(profile: str | None, data_dir: Path | None, environ: Mapping[str, str] = os.environ) -> Found:
    """The server that is meant: as the options say, else the environment, else `./data`, else the profile `default`.

    Raises SettingsError, Unreachable with what to do.
    """
    if profile is not None and data_dir is not None:
        raise Malformed("--profile and --data-dir name different servers: give one of them.")
    if profile is None and data_dir is None:
        profile = environ.get("ENOPAX_PROFILE") or None
        data_dir = Path(environ["ENOPAX_DATA_DIR"]) if not profile and environ.get("ENOPAX_DATA_DIR") else None
    if profile is not None:
        return _elsewhere(profile, environ)
    if data_dir is None and not (HERE / "server.json").exists() and DEFAULT in load(file_of(environ)):
        return _elsewhere(DEFAULT, environ)
    return _local(data_dir or HERE)


def _elsewhere(name: str, environ: Mapping[str, str]) -> Found:
    profiles = load(file_of(environ))
    if name not in profiles:
        known = f" Known are {', '.join(sorted(profiles))}." if profiles else ""
        raise SettingsError(f"There is no profile {name}.{known} Sign in with: enopax login URL --profile {name}")
    one = profiles[name]
    return Found(
        url=one.url,
        key=one.key,
        organisation=one.organisation,
        project=one.project,
        when_away=f"Profile {name} says {one.url}: if that has changed, enopax login URL --profile {name}",
        when_refused=f"Sign in again with: enopax login {one.url} --profile {name}",
    )


def _local(directory: Path) -> Found:
    start = f"enopax serve --data-dir {directory}"
    try:
        announced = json.loads((directory / "server.json").read_text("utf-8"))
        key_file = Path(announced["owner_key_file"])
        key = key_file.read_text("utf-8").strip()
    except FileNotFoundError:
        raise Unreachable(f"No server runs on {directory}: start one with {start}, or name another with --profile.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{directory / 'server.json'} cannot be read: start the server again with {start}") from error
    return Found(
        url=announced["url"],
        key=key,
        runs=_is_alive(announced.get("pid")),
        when_away=f"Start it with: {start}",
        when_refused=f"{key_file} does not hold a valid key: stop the server, and make one with enopax recover-owner-key.",
    )


def _is_alive(pid: object) -> bool:
    """Of a process that may run elsewhere (in a container), so nothing but patience is decided by it."""
    try:
        os.kill(int(str(pid)), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        pass
    return True
