"""The audit log over HTTP."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from starlette.responses import Response, StreamingResponse

from enopax_core.api import views
from enopax_core.api.call import Call, page_token
from enopax_core.api.wire import answer, dumps, present
from enopax_core.errors import Fault, Malformed
from enopax_core.ledger.audit import Wanted
from enopax_core.records.audit import Anchor, AuditEntry

LINES = "application/jsonl"


async def page(call: Call) -> Response:
    """GET /v1/audit"""
    organisation, project = call.required("org", "project")
    after, size = call.paging()
    asked = call.request.query_params
    wanted = Wanted(
        action=asked.get("action"),
        principal=asked.get("principal"),
        resource=asked.get("resource"),
        since=_since(asked.get("since")),
    )
    entries, following = await call.core.audit.page(call.principal, organisation, project, after=after, size=size, wanted=wanted)
    token = None if following is None else page_token(following)
    return answer(present(entries=[views.audit_entry(entry) for entry in entries], nextPageToken=token))


async def export(call: Call) -> Response:
    """GET /v1/admin/audit: every entry as one line of JSON, oldest first."""
    pages = await call.core.audit.export(call.principal, after=_after(call))
    return StreamingResponse(_lines(pages), media_type=LINES, headers={"Cache-Control": "no-store"})


async def verify(call: Call) -> Response:
    """GET /v1/admin/audit/verify"""
    return answer((await call.core.audit.verify(call.principal, _anchors(call))).to_json())


async def _lines(pages: AsyncIterator[Sequence[AuditEntry]]) -> AsyncIterator[bytes]:
    async for entries in pages:
        yield b"".join(dumps(entry.to_json()) + b"\n" for entry in entries)


def _after(call: Call) -> int:
    """Raises Malformed."""
    text = call.request.query_params.get("after", "0")
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise Malformed("after must be the position of an entry.", faults=[Fault("after", "This must be a number.")])
    return int(text)


def _since(text: str | None) -> datetime | None:
    """Raises Malformed."""
    try:
        moment = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if text is not None and (moment is None or moment.tzinfo is None):
        message = "This must be a moment with its offset, such as 2026-01-31T00:00:00Z."
        raise Malformed(f"since: {message}", faults=[Fault("since", message)])
    return moment


def _anchors(call: Call) -> list[Anchor]:
    """Raises Malformed."""
    try:
        return [Anchor.parse(text) for text in call.request.query_params.getlist("anchor")]
    except ValueError as error:
        raise Malformed(str(error), faults=[Fault("anchor", str(error))]) from error
