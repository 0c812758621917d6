"""The typed client against a real server, which is killed while it is used."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.acceptance.serverkit import PATIENCE, Server

from enopax_core.client import AsyncClient, Client, Patience, keys, operations, providers, resources
from enopax_core.errors import Invalid, NameTaken, NotFound, Unauthenticated, Unreachable

PLACE = {"organisationName": "Acme", "projectName": "Web"}


def client_of(server: Server) -> Client:
    """A client with the owner's key, who waits more than a minute for a server that is slow to come back."""
    return Client(server.url, str(server.api.headers["x-api-key"]), patience=Patience(tries=10))


def test_a_resource_from_its_making_to_its_end(server: Server) -> None:
    with client_of(server) as client:
        assert {"example", "git-repo"} <= {found.endpoint for found in client.send(providers.everything())}
        preview = client.send(resources.preview_provision("example", {"name": "one", **PLACE}))
        assert preview.config["message"] == "hello"
        made = client.send(resources.provision("example", {"name": "one", **PLACE}))
        assert (made.status, bool(made.credentials)) == ("active", True)
        changes = client.send(resources.preview_update("example", made.id, {"message": "bye"}))
        assert [(one.pointer, one.old, one.new) for one in changes] == [("/message", "hello", "bye")]
        assert client.send(resources.update("example", made.id, {"message": "bye"})).config["message"] == "bye"
        assert client.send(resources.metrics("example", made.id))["size"].value == 3
        assert client.send(resources.credentials("example", made.id)) == made.credentials
        assert [one.id for one in client.send(resources.page("example", "Acme", "Web")).items] == [made.id]
        assert len(client.send(operations.page("Acme", "Web")).items) == 2
        assert client.send(resources.delete("example", made.id)).message == "Deleted."
        assert client.send(resources.show("example", made.id)).status == "deleted"


def test_errors_are_those_that_the_server_raised(server: Server) -> None:
    with client_of(server) as client:
        client.send(resources.provision("example", {"name": "one", **PLACE}))
        with pytest.raises(NameTaken):
            client.send(resources.provision("example", {"name": "one", **PLACE}))
        with pytest.raises(Invalid) as invalid:
            client.send(resources.provision("example", {"name": "two", "delay": "long", **PLACE}))
        assert [fault.pointer for fault in invalid.value.faults] == ["/delay"]
        with pytest.raises(NotFound):
            client.send(resources.show("example", "nothing"))
    with Client(server.url, "enx_key_wrong") as stranger, pytest.raises(Unauthenticated):
        stranger.send(keys.page())


class Interrupted:
    """A way to a server that is cut behind the opening of the first answer; `away` is done before it can be used again."""

    def __init__(self, server: Server, away: Callable[[], object]) -> None:
        self._target, self._away = ("127.0.0.1", int(server.url.rpartition(":")[2])), away
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests = list[bytes]()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Interrupted:
        self._thread.start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        self._pass_until(b"id: ")
        self._away()
        self._pass_until(b"data: ")

    def _pass_until(self, word: bytes) -> None:
        """One connection, to the end of the piece that holds a word."""
        with self._listener.accept()[0] as client, socket.create_connection(self._target, PATIENCE) as server:
            self.requests.append(client.recv(65536))
            server.sendall(self.requests[-1])
            passed = b""
            while word not in passed or not passed.endswith(b"\n\n\r\n"):  # of a block, and of a chunk
                passed += (piece := server.recv(65536))
                assert piece, passed
                client.sendall(piece)


def test_a_client_that_is_cut_off_before_the_first_event_misses_nothing(server: Server) -> None:
    def away() -> None:
        server.api.post("/v1/example", json={"name": "missed", **PLACE}).raise_for_status()

    server.api.post("/v1/example", json={"name": "before", **PLACE}).raise_for_status()
    with Interrupted(server, away) as way, Client(way.url, str(server.api.headers["x-api-key"])) as client:
        first = next(client.events("/v1/events", params={"org": "Acme", "project": "Web"}))
    assert (first.operation.state, first.sequence, "missed" in str(first.subject)) == ("queued", 1, True)
    assert [b"last-event-id" in request.lower() for request in way.requests] == [False, True]


@pytest.mark.parametrize("end", [Server.kill, Server.stop], ids=["killed", "stopped"])
def test_a_server_that_goes_and_comes_back_loses_a_client_nothing(server: Server, end: Callable[[Server], object]) -> None:
    server.ports = (int(server.url.rpartition(":")[2]), server.ssh_port)  # it comes back to where it was

    def end_and_start() -> None:
        end(server)
        server.start()

    with client_of(server) as client:
        begun = client.send(resources.provision("example", {"name": "slow", "delay": 2, **PLACE}, wait=0))
        assert begun.operation is not None
        trouble = threading.Thread(target=end_and_start)
        seen = []
        for event in client.follow(begun.operation):
            seen.append(event)
            if len(seen) == 2:
                trouble.start()
        trouble.join()
        positions = [event.position for event in seen]
        assert positions == sorted(set(positions))
        assert (seen[-1].operation.state, client.wait(begun.operation).state) == ("succeeded", "succeeded")
        end(server)
        again = threading.Thread(target=server.start)
        again.start()
        made = client.send(resources.provision("example", {"name": "while it was away", **PLACE}))
        again.join()
        assert len(client.send(resources.page("example", "Acme", "Web")).items) == 2, made


def test_the_example_of_the_reference_runs(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs/reference/client.md").read_text()
    example = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert example is not None
    key = str(server.api.headers["x-api-key"])
    exec(example[1].replace("https://enopax.example.org", server.url).replace("enx_key_…", key), {})
    *percents, address = capsys.readouterr().out.split()
    assert percents[-1] == "100"
    assert address.endswith("/acme/web/site.git")


def test_a_server_that_is_not_there_is_said_to_be_so() -> None:
    with Client("http://127.0.0.1:9", patience=Patience(tries=2)) as client, pytest.raises(Unreachable):
        client.send(providers.everything())


@pytest.mark.anyio
async def test_the_asynchronous_client_does_the_same(server: Server) -> None:
    async with AsyncClient(server.url, str(server.api.headers["x-api-key"])) as client:
        begun = await client.send(resources.provision("example", {"name": "one", "delay": 0.2, **PLACE}, wait=0))
        assert begun.operation is not None
        stages = [event.operation.progress.stage async for event in client.follow(begun.operation)]
        assert (stages[0], stages[-1]) == ("init", "complete")
        assert (await client.wait(begun.operation)).state == "succeeded"
        assert (await client.send(resources.show("example", begun.id))).status == "active"
        with pytest.raises(NotFound):
            async for _ in client.follow("op-nothing"):
                pass
