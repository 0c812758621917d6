"""Is what the wheels installed the whole product? Run by the session `wheels`, with the Python of a fresh environment.

    python scripts/check_wheels.py [REPOSITORY]

The installed command must serve a Git repository that a Git client reads, and end cleanly. With the repository given, every
file below src/ and plugins/*/src/ must have come along too (.sql, py.typed, templates, scripts that may be executed: what
an editable installation cannot lose) and nothing else, and every plugin must load.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from importlib.metadata import distribution
from pathlib import Path

START_LIMIT = 120  # seconds; a start takes less than one, the rest is for a busy machine
ANSWER_LIMIT = 60  # seconds for each request and for Git
STOP_LIMIT = 60  # seconds; the server's own grace is 30


def check_files(repository: Path) -> None:
    """Compare what is installed with the sources, distribution by distribution."""
    for project in (repository, *sorted(path.parent for path in repository.glob("plugins/*/pyproject.toml"))):
        (package,) = (path.parent for path in project.glob("src/*/__init__.py"))
        files = distribution(package.name).files or []
        got = {str(file) for file in files if file.parts[0] == package.name and file.suffix != ".pyc"}
        expected = {
            str(path.relative_to(package.parent))
            for path in package.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        if got != expected:
            sys.exit(f"{package.name}: missing {sorted(expected - got)}, too many {sorted(got - expected)}")
        for path in package.rglob("*"):
            if path.is_file() and os.access(path, os.X_OK) != os.access(place(package.name, path, package.parent), os.X_OK):
                sys.exit(f"{path} may be executed in one of the two places alone")
        hooks = [entry.load() for entry in distribution(package.name).entry_points if entry.group == "enopax"]
        print(f"{package.name}: {len(got)} files, {len(hooks)} plugins that can be imported")


def place(name: str, path: Path, parent: Path) -> Path:
    """Where a file of the repository was installed."""
    return Path(str(distribution(name).locate_file(str(path.relative_to(parent)))))


def check_server() -> None:
    """Start the installed server in a folder of its own, provision a repository, read it with Git, and stop."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="enopax-wheels-") as folder:
        command = [str(Path(sys.executable).with_name("enopax")), "serve", "--data-dir", folder, "--port", "0"]
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, "ENOPAX_SSH_PORT": "0"})
        try:
            url = wait_for_url(process, Path(folder, "server.json"), began + START_LIMIT)
            print(f"ready after {time.monotonic() - began:.2f} s")
            with urllib.request.urlopen(f"{url}/providers/info", timeout=ANSWER_LIMIT) as answer:
                names = [provider["name"] for provider in json.load(answer)["providers"]]
            check_repository(url, Path(folder, "owner.key").read_text().strip())
            process.send_signal(signal.SIGTERM)
            if status := process.wait(STOP_LIMIT):
                sys.exit(f"the server ended with status {status} after SIGTERM")
            print(f"offers {', '.join(names)}; stopped cleanly")
        finally:
            process.kill()
            process.wait()


def check_repository(url: str, key: str) -> None:
    """Provision a repository, and let Git read it over HTTP."""
    body = json.dumps({"name": "one", "organisationName": "Acme"}).encode()
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/git-repo", body, headers), timeout=ANSWER_LIMIT) as answer:
        made = json.load(answer)
    credentials = made["credentials"]["username"] + ":" + made["credentials"]["token"]
    address = made["connection"]["http"].replace("://", f"://{credentials}@")
    subprocess.run(["git", "ls-remote", address], check=True, timeout=ANSWER_LIMIT)


def wait_for_url(process: subprocess.Popen[bytes], file: Path, deadline: float) -> str:
    """Wait until the server says that it is ready; return its address."""
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"the server ended with status {process.returncode} before it was ready")
        if file.exists():
            return str(json.loads(file.read_text())["url"]).rstrip("/")
        time.sleep(0.02)
    sys.exit(f"the server was not ready after {START_LIMIT} s")


if __name__ == "__main__":
    if sys.argv[1:]:
        check_files(Path(sys.argv[1]))
    check_server()
