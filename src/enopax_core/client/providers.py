"""Discovery."""

from __future__ import annotations

from collections.abc import Sequence

from enopax_core.client.ask import Ask, each
from enopax_core.client.values import Provider


def everything() -> Ask[Sequence[Provider]]:
    """All providers; needs no key."""
    return Ask(method="GET", path="/providers/info", read=each(Provider, "providers"))
