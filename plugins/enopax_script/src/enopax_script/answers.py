"""What a script said, as the values that a provider returns. No I/O."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from enopax_core.errors import EnopaxError, PermanentError, TemporaryError
from enopax_core.provider import Action, LogLine, Metric, Observed, Outcome
from enopax_script.process import Ran

T = TypeVar("T")

TEMPORARY = 75  # EX_TEMPFAIL of sysexits.h: try again
PERMANENT = 65  # EX_DATAERR: trying again would not help
HEALTH = {"active": "ready", "running": "ready", "deleted": "missing"}
"""Words of the first Resource API's status, beside those of today."""

OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Outcome)
OBSERVED: TypeAdapter[Observed] = TypeAdapter(Observed)
METRICS: TypeAdapter[Mapping[str, Metric]] = TypeAdapter(Mapping[str, Metric])
ACTIONS: TypeAdapter[Sequence[Action]] = TypeAdapter(Sequence[Action])
LINES: TypeAdapter[Sequence[LogLine]] = TypeAdapter(Sequence[LogLine])
IDS: TypeAdapter[Sequence[str]] = TypeAdapter(Sequence[str])


def answer(ran: Ran) -> Any:
    """The JSON value that a script printed; an empty object for nothing. Raises what its end or its answer stands for."""
    if ran.failure is not None:
        raise ran.failure
    try:
        found: Any = json.loads(ran.output) if ran.output.strip() else {}
    except ValueError as error:
        found = error
    failed = _failure(ran, found if isinstance(found, dict) else {})
    if failed is not None:
        raise failed
    if isinstance(found, ValueError):
        raise PermanentError(f"{ran.executable.name} printed something else than JSON on its standard output.")
    return found


def _failure(ran: Ran, found: Mapping[str, Any]) -> EnopaxError | None:
    """A script that states its error has foreseen it; any other end with a status is as an exception in Python."""
    name, stated = ran.executable.name, found.get("error")
    message = ran.said or (stated if isinstance(stated, str) else "")
    if ran.status == TEMPORARY:
        wait = found.get("retryAfter")
        after = timedelta(seconds=wait) if isinstance(wait, (int, float)) else None
        return TemporaryError(message or f"{name} cannot do this now.", retry_after=after)
    if message or found.get("success") is False or ran.status == PERMANENT:
        return PermanentError(message or f"{name} refused.")
    if ran.status < 0:
        return TemporaryError(f"{name} was ended by {signal.Signals(-ran.status).name}.")
    return TemporaryError(f"{name} ended with status {ran.status}.") if ran.status else None


def outcome(ran: Ran, id: str) -> Outcome:
    """What a change leaves behind. Raises PermanentError where the script made an id of its own."""
    found = answer(ran)
    if isinstance(found, dict) and found.get("id", id) != id:
        raise PermanentError(
            f"{ran.executable.name} made an id of its own: name everything after `id` of its input, so that it finds it again."
        )
    return shaped(OUTCOME, found, ran)


def observed(ran: Ran) -> Observed:
    """What the backend is like: `health`, or `status` in the words of the first Resource API."""
    found = answer(ran)
    if isinstance(found, dict) and "health" not in found and isinstance(found.get("status"), str):
        word = found["status"].lower()
        found = {**found, "health": HEALTH.get(word, word)}
    return shaped(OBSERVED, found, ran)


def metrics(ran: Ran) -> Mapping[str, Metric]:
    """Measured values: below `metrics` or alone; a bare number counts what its name says."""
    found = answer(ran)
    values = found.get("metrics", found) if isinstance(found, dict) else found
    if isinstance(values, dict):
        values = {n: {"value": v, "unit": n} if isinstance(v, (int, float)) else v for n, v in values.items() if n != "success"}
    return shaped(METRICS, values, ran)


def listed(adapter: TypeAdapter[T], key: str, ran: Ran) -> T:
    """A list: below its key or alone."""
    found = answer(ran)
    return shaped(adapter, found.get(key, []) if isinstance(found, dict) else found, ran)


def shaped(adapter: TypeAdapter[T], value: Any, ran: Ran) -> T:
    """A value of the wanted shape. Raises PermanentError that says where it is not; the value itself may be a secret."""
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        at = "".join(f"/{part}" for part in first["loc"])
        raise PermanentError(f"{ran.executable.name} printed what cannot be used: {at or 'the whole'}: {first['msg']}.") from None
