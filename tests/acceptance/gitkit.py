"""People with an SSH key, the `git` program and nothing else."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.acceptance.serverkit import PATIENCE

Ended = subprocess.CompletedProcess[str]


class Person:
    """A home directory with a key pair; everything runs the installed `git` and `ssh`."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True)
        self.home, self.key_file = home, home / "id_ed25519"
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", home.name, "-f", str(self.key_file)],
            check=True,
            timeout=PATIENCE,
        )
        self.public_key = self.key_file.with_suffix(".pub").read_text().strip()

    @property
    def ssh_command(self) -> list[str]:
        """`ssh` with this key alone, without anybody's settings."""
        options = (
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=accept-new",
            f"UserKnownHostsFile={self.home / 'known_hosts'}",
            "LogLevel=ERROR",
            "ConnectTimeout=30",
        )
        return ["ssh", "-F", "/dev/null", "-i", str(self.key_file), *(part for option in options for part in ("-o", option))]

    @property
    def environment(self) -> dict[str, str]:
        """For Git's processes."""
        return {**os.environ, "HOME": str(self.home), "GIT_SSH_COMMAND": shlex.join(self.ssh_command), "SSH_AUTH_SOCK": ""}

    def git(self, *arguments: str, cwd: Path | None = None, **environ: str) -> Ended:
        """Run Git, which must succeed."""
        ended = self.try_git(*arguments, cwd=cwd, **environ)
        assert ended.returncode == 0, f"git {shlex.join(arguments)}: {ended.stderr}"
        return ended

    def try_git(self, *arguments: str, cwd: Path | None = None, **environ: str) -> Ended:
        """Run Git, whatever comes of it."""
        return subprocess.run(
            ["git", *arguments],
            cwd=cwd or self.home,
            env={**self.environment, **environ},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def refused(self, *arguments: str, cwd: Path | None = None, **environ: str) -> str:
        """Run Git, which must fail; what the person reads."""
        ended = self.try_git(*arguments, cwd=cwd, **environ)
        assert ended.returncode != 0, f"git {shlex.join(arguments)} succeeded: {ended.stdout}"
        return ended.stderr

    def ssh(self, port: int, *arguments: str, user: str = "git", **environ: str) -> Ended:
        """Run `ssh` itself, with the words of a command or none."""
        return subprocess.run(
            [*self.ssh_command, "-p", str(port), f"{user}@127.0.0.1", *arguments],
            env={**self.environment, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )

    @contextlib.contextmanager
    def session(self, port: int, command: str) -> Iterator[subprocess.Popen[bytes]]:
        """An SSH session that stays open until the end of the block, or until the server ends it."""
        with subprocess.Popen(
            [*self.ssh_command, "-p", str(port), "git@127.0.0.1", command],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def work_tree(self, name: str, files: dict[str, bytes | str] | None = None, branch: str = "main") -> Path:
        """A local repository with one commit."""
        tree = self.home / name
        self.git("init", "--quiet", "--initial-branch", branch, str(tree))
        self.commit(tree, files or {"README": "Hello.\n"})
        return tree

    def commit(self, tree: Path, files: dict[str, bytes | str], message: str = "Change") -> None:
        """One more commit."""
        for name, content in files.items():
            (tree / name).write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all", cwd=tree)
        self.git("commit", "--quiet", "--message", message, cwd=tree)
