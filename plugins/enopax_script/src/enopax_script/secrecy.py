"""Keeps secrets out of what scripts write for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SHORTEST = 4  # characters; anything shorter turns up everywhere
MASK = "***"


class Secrets:
    """Texts that nobody may read."""

    def __init__(self) -> None:
        self._texts: set[str] = set()

    def learn(self, value: Any) -> None:
        """Remember every text in a JSON value, and each of its lines: logs are read line by line."""
        for text in _texts(value):
            self._texts.update(part.strip() for part in (text, *text.splitlines()) if len(part.strip()) >= SHORTEST)

    def hide(self, text: str) -> str:
        """The text without the secrets."""
        for secret in sorted(self._texts, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)
