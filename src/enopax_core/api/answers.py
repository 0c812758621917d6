"""The answer to an accepted operation: what the ledger holds once it has ended, or where to look until then.

The same function answers the first request and, after a crash, the repeated one: it needs the operation's id alone.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from enopax_core.api import views
from enopax_core.api.call import Call
from enopax_core.api.wire import answer
from enopax_core.core.acceptance import etag
from enopax_core.core.looks import Seen
from enopax_core.errors import NotFound
from enopax_core.ledger import operations, resources
from enopax_core.ledger.interface import Transaction
from enopax_core.records.operation import Kind, OperationRecord, State
from enopax_core.records.resource import ResourceRecord

MESSAGES = {
    Kind.PROVISION: "The resource is being provisioned.",
    Kind.UPDATE: "The resource is being updated.",
    Kind.DELETE: "The resource is being deleted.",
    Kind.PURGE: "The resource is being purged.",
    Kind.RESTORE: "The resource is being restored.",
}


async def answer_to(call: Call, operation_id: str) -> Response:
    """Wait as the caller prefers, then answer: 201 or 200 when done, 202 with the operation's address otherwise."""
    seconds, applied = call.wait()
    headers = {"Preference-Applied": applied} if applied else {}
    if seconds > 0 and call.core.ready:
        await call.core.operations.pause(operation_id, seconds)

    def read(transaction: Transaction) -> tuple[OperationRecord | None, ResourceRecord | None, OperationRecord | None]:
        operation = operations.get(transaction, operation_id)
        if operation is None or operation.resource is None:
            return operation, None, None
        line = operations.line(transaction, operation.resource)
        return operation, resources.get(transaction, operation.resource), line[0] if line else None

    operation, record, head = await call.core.ledger.read(read)
    if operation is None:
        raise NotFound
    if record is None:  # purged: nothing is left to show
        return answer({"message": "The resource is gone for good."}, 200, headers)
    seen = Seen(record=record, place=await call.core.places.of(record.project), operation=head)
    if operation.state is State.SUCCEEDED:
        return await _done(call, operation, seen, headers)
    return _unfinished(call, operation, seen, headers)


async def _done(call: Call, operation: OperationRecord, seen: Seen, headers: dict[str, str]) -> Response:
    record = seen.record
    match operation.type:
        case Kind.PROVISION:
            body = {"operation": operation.id, **views.resource(call.core, seen)}
            if await call.core.credentials.may_read(call.principal, record):
                body["credentials"] = call.core.credentials.opened(record)
            location = call.url(f"/v1/{record.endpoint}/{record.id}")
            return answer(body, 201, {**headers, "Location": location, "ETag": etag(record)})
        case Kind.UPDATE | Kind.RESTORE:
            return answer(views.resource(call.core, seen), 200, {**headers, "ETag": etag(record)})
        case Kind.DELETE:
            return answer({"id": record.id, "message": deleted_message(call, record)}, 200, headers)
        case Kind.ROTATE:
            return answer({"id": record.id, "credentials": call.core.credentials.opened(record)}, 200, headers)
    result: Any = call.core.vault.open(operation.sealed_result).get("result")
    shown = result if isinstance(result, dict) else {} if result is None else {"result": result}
    return answer({"operation": operation.id, **shown}, 200, headers)


def _unfinished(call: Call, operation: OperationRecord, seen: Seen, headers: dict[str, str]) -> Response:
    record = seen.record
    location = call.url(f"/v1/operations/{operation.id}")
    body = {**views.resource(call.core, seen), "operation": operation.id}
    if operation.state is State.QUEUED or operation.state is State.RUNNING:
        body["message"] = record.message or MESSAGES.get(Kind(operation.type) if operation.type in set(Kind) else Kind.UPDATE, "")
    else:  # it was accepted and has ended without success: 2xx, because the request was; never "success"
        reason = (operation.error or {}).get("message", "The operation did not succeed.")
        body |= {"success": False, "message": reason, "error": reason}
    return answer(body, 202, {**headers, "Location": location})


def deleted_message(call: Call, record: ResourceRecord) -> str:
    """What happened to the data."""
    kept = call.core.registry.provider(record.endpoint).provider.retention is not None and record.has_backend
    if kept and record.expires_at is not None:
        return f"Deleted; it can be restored until {record.expires_at:%Y-%m-%d %H:%M} UTC."
    return "Deleted."
