"""What counts as blocking an event loop."""

from __future__ import annotations

import time

import pytest

from enopax_core.testing.loop import LoopWatch

pytestmark = pytest.mark.anyio
LIMIT = 0.2


@pytest.fixture
def _watched_loop() -> None:
    """These tests block their loop on purpose."""


async def test_a_loop_that_stands_still_is_seen_and_where() -> None:
    watch, until = LoopWatch(LIMIT), time.monotonic() + 60
    while not watch.blocked_at and time.monotonic() < until:
        time.sleep(0.01)  # noqa: ASYNC251  # what it is to see
    watch.stop()
    assert "time.sleep(0.01)" in watch.blocked_at


class Popen:
    def _execute_child(self) -> None:
        time.sleep(3 * LIMIT)


async def test_waiting_for_the_machine_to_start_a_process_is_nobody_s_fault() -> None:
    watch = LoopWatch(LIMIT)
    Popen()._execute_child()
    watch.stop()
    assert watch.blocked_at == ""
