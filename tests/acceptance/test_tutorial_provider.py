"""The tutorial for authors, followed word for word in a fresh environment.

A block marked `bash` is run, a block marked `text` behind it is what it prints; a block marked `python` is put into the file
that the sentence before it names. `enopax serve` goes on in a second terminal, and a change of the plugin starts it again.
"""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.acceptance.environment import ROOT, install_core, without_index
from tests.acceptance.serverkit import PATIENCE, eventually
from tests.acceptance.test_docs_shell import pattern

PAGE = ROOT / "docs" / "tutorial" / "first-provider.md"
BLOCK = re.compile(r"(?:`([^`\n]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INSTALL = "pip install --quiet 'enopax-core[testing]'\n"


def free_port() -> int:
    """A port for the whole session: addresses of pages must outlive the server's starting again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Reader:
    """Two terminals in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment: Mapping[str, str] = {**without_index(folder), "ENOPAX_PORT": str(free_port())}
        self.server: subprocess.Popen[bytes] | None = None
        self._log = folder.with_name(f"{folder.name}.log")
        self._seen, self._counted = "", 0

    def write(self, name: str, content: str) -> None:
        """Save a file."""
        (self.folder / name).write_text(content, "utf-8")
        self._settle()

    def run(self, commands: str) -> str:
        """Type a block; what it printed."""
        if commands.startswith("enopax serve"):
            self._serve(commands)
            return ""
        installs = INSTALL in commands
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands.replace(INSTALL, "")],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert ended.returncode == 0, f"{commands}\nfailed:\n{ended.stdout}\nserver:\n{self._said()}"
        if installs:
            install_core(self.folder, self.environment)
        self._settle()
        return ended.stdout

    def close(self) -> None:
        """Stop the server."""
        if self.server is not None:
            self.server.terminate()
            assert self.server.wait(PATIENCE) == 0

    def _serve(self, commands: str) -> None:
        with self._log.open("wb") as output:
            self.server = subprocess.Popen(
                commands.split(), cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self._seen = self._sources()
        eventually("the server takes requests", lambda: self._starts() or self._ended())
        assert not self._ended(), self._said()
        self._counted = self._starts()

    def _settle(self) -> None:
        """Wait until a running server has taken over what was changed."""
        if self.server is None or self._sources() == self._seen:
            return
        self._seen = self._sources()
        eventually("the server starts again", lambda: self._starts() > self._counted or self._ended())
        assert not self._ended(), self._said()
        self._counted = self._starts()

    def _ended(self) -> bool:
        return self.server is not None and self.server.poll() is not None

    def _starts(self) -> int:
        return self._said().count("takes requests")

    def _said(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def _sources(self) -> str:
        return "".join(file.read_text() for file in sorted(self.folder.glob("*/src/**/*.py")))


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Somebody in an empty folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    reader = Reader(folder)
    yield reader
    reader.close()


@pytest.mark.timeout(300)
def test_the_tutorial_works_word_for_word(reader: Reader) -> None:
    printed = commands = ""
    blocks = BLOCK.findall(PAGE.read_text("utf-8"))
    assert {kind for _, kind, _ in blocks} == {"bash", "text", "python"}
    for name, kind, content in blocks:
        if kind == "python":
            reader.write(name, content)
        elif kind == "bash":
            commands, printed = content, reader.run(content)
        else:
            assert pattern(content).search(printed), f"{commands}\nshould print\n{content}\nbut prints\n{printed}"
