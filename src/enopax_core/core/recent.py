"""Remembers answers for a moment: the same key and the same place are asked for again and again."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class Recent(Generic[KeyT, ValueT]):
    """Values that are at most `seconds` old; the oldest give way past `size`."""

    def __init__(self, seconds: float, size: int = 10_000) -> None:
        self._seconds, self._size = seconds, size
        self._values: OrderedDict[KeyT, tuple[float, ValueT]] = OrderedDict()

    def get(self, key: KeyT) -> ValueT | None:
        """The value, if it is recent enough."""
        found = self._values.get(key)
        return found[1] if found is not None and found[0] > time.monotonic() else None

    def put(self, key: KeyT, value: ValueT) -> None:
        """Remember a value."""
        self._values[key] = (time.monotonic() + self._seconds, value)
        self._values.move_to_end(key)
        while len(self._values) > self._size:
            self._values.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
