"""Git over SSH and HTTP against OpenSSH with plain Git: latency, throughput, and what a large clone does to the API."""

from __future__ import annotations

import os
import statistics
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from common import Line, Server, folder, median_ms, openssh, report, server, timed

MIB, TURNS = 300, 3


def main() -> None:
    """Measure and report."""
    with folder() as root:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / "id")], check=True)
        public_key = (root / "id.pub").read_text()
        os.environ["GIT_SSH_COMMAND"] = (
            f"ssh -F none -i {root / 'id'} -o IdentitiesOnly=yes -o StrictHostKeyChecking=no"
            " -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        )
        with server(root / "data") as running, openssh(root / "sshd", public_key) as port:
            report("git", [*latency(root, running, port, public_key), *throughput(root, running, port, public_key)])


def latency(root: Path, running: Server, port: int, public_key: str) -> list[Line]:
    """ls-remote right after creation, and a clone of 100 commits."""
    connection = running.connection()
    small = commits(root / "small", 100)
    plain = root / "plain.git"
    git("clone", "-q", "--bare", str(small), str(plain))
    theirs_url = f"ssh://root@127.0.0.1:{port}{plain}"
    ours_url = running.create(connection, "small", sshKeys=[public_key])["access"]
    git("-C", str(small), "push", "-q", ours_url, "main")
    ls_ours, ls_theirs, clone_ours, clone_theirs = [], [], [], []
    for turn in range(15):
        fresh = running.create(connection, f"fresh-{turn}", sshKeys=[public_key])["access"]
        ls_ours.append(timed(lambda: git("ls-remote", fresh)))  # noqa: B023  # called at once
        ls_theirs.append(timed(lambda: git("ls-remote", theirs_url)))
        clone_ours.append(timed(lambda: git("clone", "-q", ours_url, str(root / f"a{turn}"))))  # noqa: B023  # called at once
        clone_theirs.append(timed(lambda: git("clone", "-q", theirs_url, str(root / f"b{turn}"))))  # noqa: B023  # called at once
    ls_ratio = median_ms(ls_ours) / median_ms(ls_theirs)
    clone_ratio = median_ms(clone_ours) / median_ms(clone_theirs)
    return [
        Line(what="ls-remote after creation, p50", measured=median_ms(ls_ours), unit="ms"),
        Line(what="  OpenSSH", measured=median_ms(ls_theirs), unit="ms"),
        Line(what="  ratio", measured=ls_ratio, unit="", aim="at most 0.35", met=ls_ratio <= 0.35),
        Line(what="clone of 100 commits, p50", measured=median_ms(clone_ours), unit="ms"),
        Line(what="  OpenSSH", measured=median_ms(clone_theirs), unit="ms"),
        Line(what="  ratio", measured=clone_ratio, unit="", aim="at most 0.4", met=clone_ratio <= 0.4),
    ]


def throughput(root: Path, running: Server, port: int, public_key: str) -> list[Line]:
    """Push and clone of 300 MiB; the API's p99 meanwhile."""
    large = root / "large"
    git("init", "-q", "-b", "main", str(large))
    for name in ("core.compression", "pack.window"):  # random data: measure the transfer, not the search for deltas
        git("-C", str(large), "config", name, "0")
    for part in range(MIB):  # more objects than Git's unpackLimit: the pack is kept as it comes
        (large / f"part-{part}").write_bytes(os.urandom(1 << 20))
    commit(large)
    seconds: dict[str, list[float]] = {}
    urls: dict[str, str] = {}
    for turn in range(TURNS):  # in turn, so that a drifting machine treats all alike
        urls = targets(root, running, port, public_key, turn)
        for name, url in urls.items():
            seconds.setdefault(f"push {name}", []).append(timed(partial(git, "-C", str(large), "push", "-q", url, "main")))
        for name, url in urls.items():
            clone = partial(git, "clone", "-q", "--no-checkout", url, str(root / f"clone-{name}-{turn}"))
            seconds.setdefault(f"clone {name}", []).append(timed(clone))
    rates = {what: MIB / statistics.median(found) for what, found in seconds.items()}
    lines = [Line(what=f"{what} of {MIB} MiB", measured=rate, unit="MiB/s") for what, rate in rates.items()]
    for verb in ("push", "clone"):
        for way in ("SSH", "HTTP"):
            ratio = rates[f"{verb} {way}"] / rates[f"{verb} OpenSSH"]
            lines.append(Line(what=f"{verb} {way} / OpenSSH", measured=ratio, unit="", aim="at least 1.0", met=ratio >= 1.0))
    idle = p99(running)
    for way in ("SSH", "HTTP"):
        url = urls[way]
        busy = during(lambda: p99(running), lambda: git("clone", "-q", "--no-checkout", url, str(root / f"busy-{way}")))  # noqa: B023  # called at once
        ratio = busy / idle
        what = f"API p99 during a clone over {way} / idle"
        lines.append(Line(what=what, measured=ratio, unit="", aim="at most 3", met=ratio <= 3))
    return lines


def targets(root: Path, running: Server, port: int, public_key: str, turn: int) -> dict[str, str]:
    """Addresses of empty repositories by each way."""
    connection = running.connection()
    plain = root / f"large-{turn}.git"
    git("init", "-q", "--bare", "-b", "main", str(plain))
    ssh = running.create(connection, f"large-{turn}", sshKeys=[public_key])
    web = running.create(connection, f"web-{turn}", sshKeys=[public_key])
    http = web["connection"]["http"].replace("://", f"://git:{web['credentials']['token']}@")
    return {"OpenSSH": f"ssh://root@127.0.0.1:{port}{plain}", "SSH": ssh["access"], "HTTP": http}


def p99(running: Server) -> float:
    """99th percentile of a GET, in milliseconds."""
    connection = running.connection()
    seconds = [
        timed(lambda: running.call(connection, "GET", "/v1/git-repo?org=Bench&project=Bench&page_size=1")) for _ in range(500)
    ]
    return sorted(seconds)[int(len(seconds) * 0.99)] * 1000


def during(measure: Callable[[], float], work: Callable[[], object]) -> float:
    """What is measured while something else works."""
    thread = threading.Thread(target=work)
    thread.start()
    measured = [measure()]
    while thread.is_alive():
        measured.append(measure())
    thread.join()
    return sorted(measured)[len(measured) // 2]


def commits(path: Path, number: int) -> Path:
    """A repository with so many commits."""
    git("init", "-q", "-b", "main", str(path))
    for turn in range(number):
        (path / "file").write_text(f"{turn}\n" * 20)
        commit(path)
    return path


def commit(path: Path) -> None:
    """Commit everything."""
    git("-C", str(path), "add", "-A")
    git("-C", str(path), "-c", "user.name=Bench", "-c", "user.email=bench@example.org", "commit", "-q", "-m", "more")


def git(*arguments: str) -> None:
    """Run Git; raises CalledProcessError."""
    subprocess.run(["git", *arguments], check=True, capture_output=True)


if __name__ == "__main__":
    main()
