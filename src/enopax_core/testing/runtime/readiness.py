"""A service is ready when its probe says so."""

from __future__ import annotations

import socket

import anyio
import pytest

from enopax_core.errors import NotFound, ServiceFailed
from enopax_core.runtime import Port, Probe, Runtime, Service, State
from enopax_core.testing.runtime.base import ID, IDLE, RESOURCE, RuntimeKit, eventually, free_port


class Readiness(RuntimeKit):
    """Ports, paths, commands, and services that never become ready."""

    async def test_one_with_a_port_is_ready_once_it_takes_connections(self, runtime: Runtime) -> None:
        number = free_port()
        probe = Probe(port="main")
        await runtime.ensure(self.service(self.listen(number), ports={"main": Port(number=number)}, readiness=probe))
        stream = await anyio.connect_tcp("127.0.0.1", number)
        await stream.aclose()

    async def test_one_is_not_ready_while_a_stranger_has_its_port(self, runtime: Runtime) -> None:
        with socket.create_server(("127.0.0.1", 0)) as stranger:
            ports = {"main": Port(number=stranger.getsockname()[1])}
            with pytest.raises(ServiceFailed):
                await runtime.ensure(self.service(ports=ports, readiness=Probe(port="main", timeout=1.5)))

    async def test_one_with_a_path_is_ready_once_that_exists(self, runtime: Runtime) -> None:
        await runtime.ensure(self.service(f"sleep 0.5; echo > up; {IDLE}", readiness=Probe(path="up")))
        assert (await runtime.directory(ID) / "up").exists()

    async def test_one_with_a_command_is_ready_once_that_succeeds(self, runtime: Runtime) -> None:
        probe = Probe(command=["test", "-e", "up"])
        await runtime.ensure(self.service(f"sleep 0.5; echo > up; {IDLE}", readiness=probe))
        assert (await runtime.directory(ID) / "up").exists()

    async def test_one_that_is_not_ready_in_time_has_failed(self, runtime: Runtime) -> None:
        with pytest.raises(ServiceFailed):
            await runtime.ensure(self.service(readiness=Probe(path="never", timeout=1.5)))
        assert not (await runtime.status(ID)).ready

    async def test_one_that_is_no_longer_ready_says_so(self, runtime: Runtime) -> None:
        await runtime.ensure(self.service(f"echo > up; {IDLE}", readiness=Probe(path="up")))
        (await runtime.directory(ID) / "up").unlink()

        async def seen() -> bool:
            status = await runtime.status(ID)
            return status.state is State.RUNNING and not status.ready

        await eventually("it runs without being ready", seen)

    async def test_a_program_that_is_not_there_is_named(self, runtime: Runtime) -> None:
        service = Service(id=ID, resource=RESOURCE, command=["no-such-program"], image=self.image)
        with pytest.raises(NotFound) as caught:
            await runtime.ensure(service)
        assert "no-such-program" in caught.value.message
