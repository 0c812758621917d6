"""scripts/install on a copy of the workspace, with a Python that only pretends to install: no network, and fast."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Answers what scripts/install asks of a Python: its version, a virtual environment, and pip; it writes the calls down.
PYTHON = """#!/usr/bin/env bash
case "$1 $2" in
    -c*) exit 0 ;;
    --version*) echo "Python 3.11.0" ;;
    "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && echo venv >> "$CALLS" &&
        echo "VIRTUAL_ENV=$3" > "$3/bin/activate" && echo "version = 3.11.0" > "$3/pyvenv.cfg" ;;
    "-m pip") echo "${@:3}" >> "$CALLS" && eval "${PIP:-true}" ;;
esac
"""

TOOLS = ("git", "ssh", "jq", "systemd-analyze", "nginx", "caddy", "podman", "runc", "busybox")


class Workspace:
    """A small workspace, and what its installation did."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "workspace"
        self.calls_file = folder / "calls"
        tools = folder / "bin"
        for path, text in {
            self.root / "pyproject.toml": "core",
            self.root / "plugins/enopax_one/pyproject.toml": "one",
            tools / "python3": PYTHON,
            **{tools / name: "" for name in TOOLS},
        }.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        shutil.copytree(ROOT / "scripts", self.root / "scripts")
        self.environment = {**os.environ, "CALLS": str(self.calls_file), "PATH": f"{tools}:{os.environ['PATH']}"}

    def start(self, *options: str, pip: str = "true") -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.root / "scripts/install"), *options],
            env={**self.environment, "PIP": pip},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def install(self, *options: str, pip: str = "true", status: int = 0) -> str:
        """Run it to its end; return what it said."""
        process = self.start(*options, pip=pip)
        said = process.communicate(timeout=60)[1]
        assert process.returncode == status, said
        return said

    def calls(self) -> list[str]:
        """What was asked of the Python since the last look."""
        lines = self.calls_file.read_text().splitlines() if self.calls_file.exists() else []
        self.calls_file.unlink(missing_ok=True)
        return lines


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def without_podman(workspace: Workspace) -> Workspace:
    """On a machine with every tool of this one but containers, whose apt-get only writes down what it is asked for."""
    tools, machine = workspace.calls_file.parent / "bin", workspace.calls_file.parent / "machine"
    machine.mkdir()
    for folder in os.environ["PATH"].split(":"):
        for tool in Path(folder).glob("*"):
            if tool.name not in ("podman", "busybox", "apt-get") and not (machine / tool.name).is_symlink():
                (machine / tool.name).symlink_to(tool)
    for name in ("podman", "busybox"):
        (tools / name).unlink()
    (machine / "apt-get").write_text('#!/usr/bin/env bash\necho "apt-get $*" >> "$CALLS"\n')
    (machine / "apt-get").chmod(0o755)
    workspace.environment["PATH"] = f"{tools}:{machine}"
    return workspace


@pytest.mark.parametrize(
    ("mode", "expected"), [("--containers", {"podman", "runc"}), ("--tests", {"podman", "runc", "busybox-static"})]
)
def test_podman_is_installed_where_it_is_needed_and_missing(without_podman: Workspace, mode: str, expected: set[str]) -> None:
    if os.geteuid() != 0:
        assert "sudo sh -c 'apt-get update && apt-get install -y podman runc" in without_podman.install(mode, status=1)
        return
    without_podman.install(mode)
    installed = next(call for call in without_podman.calls() if call.startswith("apt-get") and " install " in call)
    assert expected <= set(installed.split())


def test_a_server_whose_services_are_processes_needs_no_podman(without_podman: Workspace) -> None:
    without_podman.install()
    assert not any("podman" in call for call in without_podman.calls())


def test_the_first_installation_takes_the_core_and_every_plugin(workspace: Workspace) -> None:
    workspace.install()
    venv, _, packages = workspace.calls()
    assert venv == "venv"
    assert packages.endswith(f"--editable {workspace.root} --editable {workspace.root}/plugins/enopax_one")


def test_a_second_installation_does_nothing(workspace: Workspace) -> None:
    workspace.install()
    workspace.calls()
    assert "nothing to do" in workspace.install()
    assert workspace.install("--quiet") == ""
    assert workspace.calls() == []


def test_what_the_tests_need_includes_what_the_server_needs(workspace: Workspace) -> None:
    workspace.install("--tests")
    assert workspace.calls()[-1].endswith(f"--group {workspace.root}/pyproject.toml:dev")
    workspace.install()
    assert workspace.calls() == []


def test_what_the_server_needs_is_not_enough_for_the_tests(workspace: Workspace) -> None:
    workspace.install()
    workspace.calls()
    workspace.install("--tests")
    assert len(workspace.calls()) == 2


def change_core(workspace: Workspace) -> None:
    (workspace.root / "pyproject.toml").write_text("changed")


def add_plugin(workspace: Workspace) -> None:
    folder = workspace.root / "plugins/enopax_two"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("two")


def lose_environment(workspace: Workspace) -> None:
    shutil.rmtree(workspace.root / ".venv")


@pytest.mark.parametrize("change", [change_core, add_plugin, lose_environment])
def test_a_change_of_the_workspace_is_installed(workspace: Workspace, change: Callable[[Workspace], None]) -> None:
    workspace.install()
    workspace.calls()
    change(workspace)
    workspace.install()
    assert any("--editable" in call for call in workspace.calls())


def test_a_plugin_whose_source_is_gone_is_removed(workspace: Workspace) -> None:
    workspace.install()
    workspace.calls()
    record = workspace.root / ".venv/lib/python3.11/site-packages/enopax_one-0.1.0.dist-info/direct_url.json"
    record.parent.mkdir(parents=True)
    record.write_text(f'{{"dir_info": {{"editable": true}}, "url": "file://{workspace.root}/plugins/enopax_one"}}')
    shutil.rmtree(workspace.root / "plugins/enopax_one")
    workspace.install()
    assert any("uninstall --yes enopax_one" in call for call in workspace.calls())


def test_a_killed_installation_is_made_afresh(workspace: Workspace) -> None:
    process = workspace.start(pip="kill -9 0")  # everything of that run at once, as a machine that stops does
    assert process.wait(timeout=60) == -signal.SIGKILL
    process.communicate()
    workspace.calls()
    assert "interrupted" in workspace.install()
    assert workspace.calls()[0] == "venv"
    assert "nothing to do" in workspace.install()


def test_an_interrupted_installation_does_not_count(workspace: Workspace) -> None:
    # Bash hears of a signal and of the end of what it waits for in either order: pip ends once the signal has come. INT is
    # bit 1 of what is pending, and pip itself ends with an ordinary status.
    come = "while [[ $(grep ShdPnd /proc/$PPID/status) == *[2367abef] ]]; do sleep 0.01; done"
    workspace.install(pip=f"kill -INT $PPID; {come}; exit 1", status=130)
    assert "interrupted" in workspace.install()


def test_a_failed_installation_says_how_to_mend_it_and_leaves_what_was_there(workspace: Workspace) -> None:
    workspace.install()
    change_core(workspace)
    workspace.calls()
    said = workspace.install(pip="exit 1", status=1)
    assert f"mend it with:  {workspace.root}/scripts/install" in said
    workspace.install()
    assert "venv" not in workspace.calls()


def test_a_moved_workspace_gets_an_environment_of_its_own(workspace: Workspace) -> None:
    workspace.install()
    workspace.calls()
    workspace.root = workspace.root.rename(workspace.root.with_name("elsewhere"))
    workspace.install()
    assert workspace.calls()[0] == "venv"


def test_two_installations_at_once_do_the_work_once(workspace: Workspace) -> None:
    gate = workspace.root.with_name("gate")
    first = workspace.start(pip=f"until [[ -e {gate} ]]; do sleep 0.02; done")
    assert first.stderr is not None
    while "installing" not in first.stderr.readline():
        pass
    second = workspace.start()
    assert second.stderr is not None
    assert "waiting for another" in second.stderr.readline()
    gate.touch()
    first.communicate(timeout=60)
    second.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0)
    assert workspace.calls().count("venv") == 1
