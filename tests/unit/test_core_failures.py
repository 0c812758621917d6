"""Whoever guesses credentials is slowed down; whoever merely has many keys is not."""

from __future__ import annotations

import pytest

from enopax_core.core.failures import ALLOWED, Failures
from enopax_core.errors import TooManyRequests, Unauthenticated
from enopax_core.records.principal import Presented, Principal

pytestmark = pytest.mark.anyio


async def refuse(presented: Presented) -> Principal:
    """Nobody is known."""
    raise Unauthenticated


async def welcome(presented: Presented) -> Principal:
    """Everybody is known."""
    return Principal(id="somebody", kind="key")


async def fail(failures: Failures, presented: Presented, times: int) -> None:
    """So many failed attempts."""
    for _ in range(times):
        with pytest.raises(Unauthenticated):
            await failures.watched(presented, refuse)


async def test_an_address_that_failed_too_often_waits_even_with_the_right_secret() -> None:
    failures = Failures()
    await fail(failures, Presented(address="192.0.2.1", token="wrong"), ALLOWED)
    with pytest.raises(TooManyRequests) as slowed:
        await failures.watched(Presented(address="192.0.2.1", token="right"), welcome)
    assert 0 < slowed.value.retry_after <= 60
    assert (await failures.watched(Presented(address="192.0.2.2", token="right"), welcome)).id == "somebody"


async def test_public_keys_that_an_ssh_client_offers_are_no_guesses() -> None:
    failures = Failures()
    await fail(failures, Presented(address="192.0.2.1", ssh_key="SHA256:other"), ALLOWED * 2)
    assert (await failures.watched(Presented(address="192.0.2.1", ssh_key="SHA256:mine"), welcome)).id == "somebody"


async def test_a_request_that_presents_nothing_is_no_guess() -> None:
    failures = Failures()
    await fail(failures, Presented(address="192.0.2.1"), ALLOWED * 2)
    assert (await failures.watched(Presented(address="192.0.2.1", token="right"), welcome)).id == "somebody"
