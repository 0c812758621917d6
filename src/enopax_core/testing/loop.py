"""Sees whether an event loop still turns."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Collection
from pathlib import Path
from types import CodeType, FrameType

from enopax_core.runtime.usage import waited

BEAT = 0.05  # seconds between two signs of life of a loop, and between two looks at it
STARTING = frozenset({"Popen._execute_child", "Thread.start"})
"""What waits until a process or a thread runs: on a busy machine as long as others let it (seen: 1 s with 20 ready processes)."""


class LoopWatch:
    """Sees from a thread of its own whether the running event loop still turns.

    A beat scheduled in the loop is compared with the watcher's own looks. What counts is consecutive looks without a
    beat, not the clock: on a frozen machine the watcher stands still as well, and does not accuse the loop. Nor does a look
    count before which the loop's thread has waited for a processor (Linux says for how long).
    """

    def __init__(self, limit: float, codes: Collection[CodeType] = ()) -> None:
        """`limit`: seconds without a beat. `codes`: only while one of these functions is running; none: any."""
        self.blocked_at = ""
        """Where the loop stood still, as the innermost lines of its stack."""
        self._looks, self._codes = limit / BEAT, frozenset(codes)
        self._loop = asyncio.get_running_loop()
        self._loop_thread, self._thread = threading.get_ident(), Path(f"/proc/self/task/{threading.get_native_id()}")
        self._beats = 0
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="loop-watch", daemon=True)
        self._timer: asyncio.Handle = self._loop.call_soon(self._beat)
        self._watcher.start()

    def stop(self) -> None:
        """End the watch, from within the loop."""
        self._timer.cancel()
        self._ended.set()
        self._watcher.join()

    def _beat(self) -> None:
        self._beats += 1
        self._timer = self._loop.call_later(BEAT, self._beat)

    def _watch(self) -> None:
        seen, looks, before = -1, 0, 0.0
        while not self._ended.wait(BEAT):
            frame = sys._current_frames().get(self._loop_thread)
            # Between a fixture and its test the loop does not run, which is nobody's fault.
            stands = self._beats == seen and self._loop.is_running() and self._accused(frame)
            without = waited(self._thread)
            starved, before = without - before > BEAT / 4, without
            looks = looks + (not starved) if stands else 0
            seen = self._beats
            if looks >= self._looks and not self.blocked_at and frame is not None:
                self.blocked_at = "".join(traceback.format_stack(frame)[-3:])

    def _accused(self, frame: FrameType | None) -> bool:
        accused = not self._codes
        while frame is not None:
            if frame.f_code.co_qualname in STARTING:
                return False
            accused = accused or frame.f_code in self._codes
            frame = frame.f_back
        return accused
