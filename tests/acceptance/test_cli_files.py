"""Custom endpoints that take or give files, at the command line."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.acceptance.lampkit import house_on
from tests.acceptance.lamps.enopax_lamps import LIGHT
from tests.acceptance.test_cli import Terminal


@pytest.fixture(scope="module")
def enopax() -> Iterator[Terminal]:
    """Somebody at a terminal of a server with a lamp, and with one that is broken."""
    with (  # outside of what pytest makes: services pass through it
        tempfile.TemporaryDirectory(prefix="enopax-files-", ignore_cleanup_errors=True) as folder,
        house_on(Path(folder) / "data") as house,
    ):
        house.server.start()
        terminal = Terminal(house.server)
        for name, colour in (("whole", "white"), ("torn", "broken")):
            terminal("provision", "lamp", name, "--colour", colour)
        yield terminal


def test_a_file_is_downloaded_under_its_name_for_its_owner_alone(enopax: Terminal) -> None:
    file = enopax.cwd / "light"
    assert enopax.json("call", "lamp", "beam", "whole", "3", "--to", str(file))["bytes"] == 3 * len(LIGHT)
    assert file.read_bytes() == LIGHT * 3
    assert file.stat().st_mode & 0o077 == 0


def test_a_file_goes_to_standard_output(enopax: Terminal) -> None:
    assert enopax("call", "lamp", "beam", "whole", "1", "--to", "-").stdout == LIGHT.decode()


def test_a_file_that_breaks_off_is_not_kept(enopax: Terminal) -> None:
    file = enopax.cwd / "torn"
    enopax("call", "lamp", "beam", "torn", "3", "--to", str(file), status=7)
    assert list(enopax.cwd.glob("torn*")) == []


def test_a_file_is_uploaded(enopax: Terminal) -> None:
    file = enopax.cwd / "upload"
    file.write_bytes(LIGHT * 2)
    assert enopax.json("call", "lamp", "absorb", "whole", str(file)) == {"bytes": 2 * len(LIGHT)}
    assert "bytes  3" in enopax("call", "lamp", "absorb", "whole", "-", typed="dim").stdout


def test_a_file_that_is_too_large_is_refused_while_it_is_sent(enopax: Terminal) -> None:
    file = enopax.cwd / "large"
    file.write_bytes(LIGHT * 8)
    assert "2000000 bytes" in enopax("call", "lamp", "absorb", "whole", str(file), status=1).stderr
