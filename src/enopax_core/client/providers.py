"""Discovery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enopax_core.client.ask import Ask
from enopax_core.client.values import Provider


def everything() -> Ask[Sequence[Provider]]:
    """All providers; needs no key."""
    return Ask(method="GET", path="/providers/info", read=_read)


def _read(body: Any) -> Sequence[Provider]:
    # `schema` on the wire is the name of a method of every pydantic model
    return [Provider.model_validate({**found, "schemas": found["schema"]}) for found in body["providers"]]
