"""What Git's clients notice when processes of the server are killed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.gitkit import Person
from tests.acceptance.repositories import create, on_disk
from tests.acceptance.serverkit import Server, alive, children, eventually

People = Callable[[str], Person]


def test_the_process_that_speaks_ssh_is_started_again_on_the_same_port(server: Server, person: People) -> None:
    ann = person("ann")
    repository = create(server, "site", ann)
    tree = ann.work_tree("site")
    ann.git("push", "--quiet", repository.ssh, "main", cwd=tree)
    for _ in range(3):
        child = server.ssh_child()
        os.kill(child, signal.SIGKILL)
        assert "refs/heads/main" in eventually("it serves again", lambda: ann.try_git("ls-remote", repository.ssh).stdout)
        assert server.ssh_child() != child
    assert server.api.get("/readyz").status_code == 200


def test_a_push_whose_ssh_process_is_killed_leaves_nothing_and_works_when_repeated(server: Server, person: People) -> None:
    ann = person("ann")
    repository = create(server, "site", ann)
    tree = ann.work_tree("site", {"random": os.urandom(30 << 20)})
    with ann.session(server.ssh_port, f"git-receive-pack '{repository.path}'") as push:
        assert push.stdout is not None
        assert push.stdout.read(4)
        child = server.ssh_child()
        serving_git = eventually("Git runs", lambda: children(child))
        os.kill(child, signal.SIGKILL)
        assert eventually("the client hears of it", lambda: push.poll() is not None)
        assert eventually("Git ends", lambda: not any(alive(pid) for pid in serving_git))
    assert eventually("it serves again", lambda: ann.try_git("ls-remote", repository.ssh).returncode == 0)
    ann.git("push", "--quiet", repository.ssh, "main", cwd=tree)
    assert not [path for root in on_disk(server, repository) for path in root.rglob("*incoming*")]


def test_a_killed_server_takes_its_ssh_process_along_and_its_ports_are_free(server: Server, person: People) -> None:
    ann = person("ann")
    repository = create(server, "site", ann)
    ann.git("push", "--quiet", repository.ssh, "main", cwd=ann.work_tree("site"))
    child, ports = server.ssh_child(), (int(server.url.rpartition(":")[2]), server.ssh_port)
    server.kill()
    assert eventually("its child is gone", lambda: not alive(child))
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))

    server.ports = ports
    server.start()
    assert "refs/heads/main" in ann.git("ls-remote", repository.ssh).stdout
    assert "refs/heads/main" in ann.git("ls-remote", repository.signed_in).stdout


def test_a_stopped_server_leaves_no_process(server: Server, person: People) -> None:
    ann = person("ann")
    repository = create(server, "site", ann)
    with ann.session(server.ssh_port, f"git-upload-pack '{repository.path}'") as session:
        assert session.stdout is not None
        assert session.stdout.read(4)
        child = server.ssh_child()
        processes = [child, *eventually("Git runs", lambda: children(child))]
        assert server.stop() == 0
        assert eventually("its processes are gone", lambda: not any(alive(pid) for pid in processes))
        assert eventually("the client hears of it", lambda: session.poll() is not None)


def test_a_client_that_goes_away_takes_its_git_process_along(server: Server, person: People) -> None:
    ann = person("ann")
    repository = create(server, "site", ann)
    with ann.session(server.ssh_port, f"git-upload-pack '{repository.path}'") as session:
        assert session.stdout is not None
        assert session.stdout.read(4)
        running = eventually("Git runs", lambda: children(server.ssh_child()))
        session.kill()
        assert eventually("Git ends", lambda: not any(alive(pid) for pid in running))


def test_connections_that_never_sign_in_do_not_keep_others_out(server: Server, person: People) -> None:
    ann = person("ann")
    repository = create(server, "site", ann)
    with contextlib.ExitStack() as silent:
        for _ in range(20):
            silent.enter_context(socket.create_connection(("127.0.0.1", server.ssh_port)))
        ann.git("ls-remote", repository.ssh)


def test_the_host_key_stays(server: Server, person: People, tmp_path: Path) -> None:
    ann = person("ann")
    repository = create(server, "site", ann)
    ann.git("ls-remote", repository.ssh)
    server.ports = (0, server.ssh_port)
    assert server.stop() == 0
    server.start()
    ann.git("ls-remote", repository.ssh)  # with the key in its known_hosts, `ssh` refuses another one
    assert (server.data_dir / "git").stat().st_mode & 0o077 == 0
