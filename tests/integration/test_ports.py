"""Ports that the core gives to services."""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from tests.integration.conftest import Hands

from enopax_core import Core, Settings
from enopax_core.core.ports import Ports, is_free
from enopax_core.errors import TemporaryError
from enopax_core.ledger.ports import REST

pytestmark = pytest.mark.anyio


def free_range(size: int) -> str:
    """A stretch of ports that nothing uses now."""
    some = random.sample(range(21_000, 29_000, size), 1000)  # so that two runs on one machine do not want the same ones
    first = next(n for n in some if all(is_free(n + more) for more in range(size)))
    return f"{first}-{first + size - 1}"


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
async def core(data_dir: Path, hands: Hands) -> AsyncIterator[Core]:
    settings = Settings(data_dir=data_dir, sections={"runtime": {"ports": free_range(3)}})
    async with Core(settings, plugins=(), clock=hands) as core:
        yield core


@pytest.fixture
def ports(core: Core) -> Ports:
    return core.host.ports


async def test_an_owner_gets_the_same_port_each_time(ports: Ports) -> None:
    assert await ports.allocate("one", "main") == await ports.allocate("one", "main")


async def test_no_port_is_given_twice_though_many_ask_at_once(ports: Ports) -> None:
    given: list[int] = []

    async def ask(owner: str, name: str) -> None:
        given.append(await ports.allocate(owner, name))

    async with anyio.create_task_group() as group:
        for owner, name in (("one", "a"), ("one", "b"), ("two", "a"), ("two", "a"), ("one", "a")):
            group.start_soon(ask, owner, name)
    assert len(set(given)) == 3
    assert len(await ports.of("one")) == 2


async def test_when_all_are_given_the_error_names_the_setting(ports: Ports) -> None:
    for name in "abc":
        await ports.allocate("one", name)
    with pytest.raises(TemporaryError) as caught:
        await ports.allocate("one", "d")
    assert "[runtime] ports" in caught.value.message


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_a_port_that_something_uses_is_not_given(ports: Ports, hands: Hands, kind: socket.SocketKind) -> None:
    numbers = [await ports.allocate("one", name) for name in "abc"]
    await ports.release("one")
    hands.move(seconds=REST.total_seconds() + 1)
    with socket.socket(socket.AF_INET, kind) as stranger:
        stranger.bind(("127.0.0.1", numbers[1]))
        assert {await ports.allocate("two", name) for name in "ab"} == {numbers[0], numbers[2]}


async def test_a_released_port_rests_before_somebody_else_gets_it(ports: Ports, hands: Hands) -> None:
    for name in "abc":
        await ports.allocate("one", name)
    await ports.release("one")
    with pytest.raises(TemporaryError):
        await ports.allocate("two", "a")
    hands.move(seconds=REST.total_seconds() + 1)
    await ports.allocate("two", "a")


async def test_releasing_one_port_leaves_the_others(ports: Ports) -> None:
    await ports.allocate("one", "a")
    kept = await ports.allocate("one", "b")
    await ports.release("one", "a")
    await ports.release("one", "a")
    assert await ports.of("one") == {"b": kept}


async def test_ports_outlive_the_core(data_dir: Path) -> None:
    settings = Settings(data_dir=data_dir)
    async with Core(settings, plugins=()) as core:
        number = await core.host.ports.allocate("one", "main")
    async with Core(settings, plugins=()) as core:
        assert await core.host.ports.of("one") == {"main": number}
