"""The commands that the documentation shows, run line by line against a server started as the README says.

In a page, a block marked `sh` is run; a block marked `text` right behind it is what it prints, `…` standing for anything.
A block with a `title` is a file of that name, written before. A page is one shell session; how-to guides begin with the
commands of their index.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from tests.acceptance.serverkit import PATIENCE, eventually
from tests.unit.pages import FENCE, write_files

from enopax_core import Core, Settings

ROOT = Path(__file__).parents[2]
END = "── end of block ──"
LONGEST = 600.0  # seconds for a page: the one on databases starts and stops several times


def blocks(page: str) -> list[tuple[str, str]]:
    """The commands of each `sh` block of a page, and what the page says it prints (empty: nothing is said)."""
    found = [(match["kind"], match["content"]) for match in FENCE.finditer((ROOT / page).read_text("utf-8"))]
    return [
        (commands, next((output for next_kind, output in found[number : number + 1] if next_kind == "text"), ""))
        for number, (kind, commands) in enumerate(found, 1)
        if kind == "sh"
    ]


def narrow(output: str) -> str:
    """Columns two spaces apart, however wide a table is."""
    return re.sub(" {2,}", "  ", output)


def pattern(output: str) -> re.Pattern[str]:
    """The lines of a `text` block, one below the other; what stands between them in the real output does not matter."""
    output = narrow(output)
    lines = [".*?".join(re.escape(part) for part in line.split("…")) for line in output.splitlines()]
    return re.compile(r"(?:.*\n)*?".join(rf"^.*?{line}.*\n" for line in lines if line), re.MULTILINE)


def run(shown: list[tuple[str, str]], folder: Path) -> list[str]:
    """Run blocks in one shell that ends at the first failure; what each of them printed."""
    script = f"\necho '{END}'\n".join(commands for commands, _ in shown)
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "SSH_AUTH_SOCK": "", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    printed = ended.stdout.split(f"{END}\n")
    assert ended.returncode == 0, f"block {len(printed)} failed:\n{shown[len(printed) - 1][0]}\n{printed[-1]}"
    return printed


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory in which `scripts/serve` was called; its `data` belongs to nobody else."""
    folder = tmp_path_factory.mktemp("clone")
    log = folder / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [ROOT / "scripts/serve"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ports of its own, because the README's may be in use; no spare, because no page looks at it.
            env={**os.environ, "ENOPAX_PORT": "0", "ENOPAX_SSH_PORT": "0", "ENOPAX_POSTGRES_SPARES": "0"},
        )
    try:
        eventually("the server says where it is", lambda: server.poll() is not None or (folder / "data/server.json").exists())
        assert server.poll() is None, log.read_text()
        yield folder
    finally:
        server.terminate()
        status = server.wait(PATIENCE)
        anyio.run(remove_services, folder / "data")
        assert status == 0


async def remove_services(data_dir: Path) -> None:
    """Leave none of a page that has failed halfway."""
    async with Core(Settings(data_dir=data_dir), plugins=()) as core:
        for service in await core.host.runtime.services():
            await core.host.runtime.remove(service.id)


@pytest.fixture
def here(clone: Path, tmp_path: Path) -> Path:
    """A directory of this page alone, with the server's data directory in it."""
    (tmp_path / "data").symlink_to(clone / "data")
    return tmp_path


def shown_by(page: str) -> list[tuple[str, str]]:
    """What a reader of a page types; the README's two commands are for two other terminals."""
    if page == "README.md":
        return blocks(page)[1:]
    return [*(blocks("docs/howto/index.md") if page.startswith("docs/howto/") else []), *blocks(page)]


DOCS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md"))
PAGES = ["README.md", *(page for page in DOCS if blocks(page))]


@pytest.mark.timeout(LONGEST + 60)
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_work_and_print_what_it_says(page: str, here: Path) -> None:
    needed = {command for command in ("curl", "git", "psql", "ssh", "python3") if not shutil.which(command)}
    assert not needed, f"these are missing: {needed}"
    write_files(f"../{page}", here)
    shown = shown_by(page)
    for (commands, output), printed in zip(shown, run(shown, here), strict=True):
        assert pattern(output).search(narrow(printed) + "\n"), f"{commands}\nshould print\n{output}\nbut prints\n{printed}"
