"""Problem details for what is refused before the application sees it."""

from __future__ import annotations

import json

TITLES = {400: "Malformed request", 408: "Request took too long", 431: "Headers too large", 503: "Unavailable"}
MEDIA_TYPE = b"application/problem+json"


def problem_body(status: int, message: str) -> bytes:
    """An RFC 9457 document, with the two fields that older clients read."""
    return json.dumps(
        {
            "type": "about:blank",
            "title": TITLES[status],
            "status": status,
            "detail": message,
            "success": False,
            "error": message,
        }
    ).encode()
