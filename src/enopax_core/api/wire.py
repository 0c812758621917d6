"""JSON as it goes over the wire."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from enopax_core.errors import Malformed


def dumps(value: Any) -> bytes:
    """Compact, ASCII alone: a lone surrogate from a client must not break the answer that names it."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def loads(body: bytes) -> Any:
    """Parse a body. Raises Malformed: not UTF-8, not JSON, not finite, nested too deep."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Malformed("The body is not valid JSON.") from error


def present(**fields: Any) -> dict[str, Any]:
    """The fields that are there: absent strings are absent, never null."""
    return {name: value for name, value in fields.items() if value is not None}


def answer(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A successful answer."""
    return Response(dumps({"success": True, **body}), status, dict(headers or {}), media_type="application/json")


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value
