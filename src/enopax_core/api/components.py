"""Schemas, parameters and headers that the description of the API refers to."""

from __future__ import annotations

from typing import Any

from enopax_core.api.keys import KeyRequest
from enopax_core.records.operation import State
from enopax_core.records.resource import Status

Json = dict[str, Any]
TEXT: Json = {"type": "string"}
MOMENT: Json = {"type": "string", "format": "date-time"}
COUNT: Json = {"type": "integer", "minimum": 0}
TRUE: Json = {"const": True}


def ref(name: str) -> Json:
    """A reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def object_of(required: str, **properties: Json) -> Json:
    """An object with these properties alone; `required` names some of them, separated by spaces."""
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def list_of(items: Json) -> Json:
    """An array."""
    return {"type": "array", "items": items}


TEXTS: Json = {"type": "object", "additionalProperties": TEXT}
PROGRESS = object_of("stage percent message", stage=TEXT, percent={"type": "integer", "minimum": 0, "maximum": 100}, message=TEXT)
SUMMARY: Json = {
    "id": {"type": "string", "pattern": "^[a-z0-9-]{1,63}$"},
    "name": TEXT,
    "status": {"enum": list(Status)},
    "message": TEXT,
    "access": TEXT,
    "plan": TEXT,
    "organisation": TEXT,
    "project": TEXT,
    "createdAt": MOMENT,
    "updatedAt": MOMENT,
    "expiresAt": MOMENT,
}
CONDITION = object_of(
    "type status reason message",
    type=TEXT,
    status={"enum": ["True", "False", "Unknown"]},
    reason=TEXT,
    message=TEXT,
    since=MOMENT,
)
FULL: Json = {
    **SUMMARY,
    "success": TRUE,
    "connection": TEXTS,
    "provider": TEXT,
    "config": {"type": "object"},
    "sshKeys": list_of(TEXT),
    "userId": TEXT,
    "conditions": list_of(CONDITION),
    "holds": list_of(object_of("name reason since", name=TEXT, reason=TEXT, since=MOMENT)),
    "progress": PROGRESS,
    "operation": TEXT,
}
SUMMARY_REQUIRED = "id name status message organisation project createdAt updatedAt"
FULL_REQUIRED = f"success {SUMMARY_REQUIRED} provider config conditions holds progress connection sshKeys"
OPERATION: Json = {
    "id": TEXT,
    "type": TEXT,
    "state": {"enum": list(State)},
    "endpoint": TEXT,
    "resource": TEXT,
    "organisation": TEXT,
    "project": TEXT,
    "progress": PROGRESS,
    "attempt": COUNT,
    "error": object_of("code message", code=TEXT, message=TEXT),
    "createdAt": MOMENT,
    "startedAt": MOMENT,
    "finishedAt": MOMENT,
}
OPERATION_REQUIRED = "id type state endpoint progress attempt createdAt"
KEY: Json = {
    "id": TEXT,
    "key": TEXT,
    "preview": TEXT,
    "name": TEXT,
    "role": TEXT,
    "permissions": list_of(TEXT),
    "organisation": TEXT,
    "project": TEXT,
    "createdAt": MOMENT,
    "expiresAt": MOMENT,
}
PRICE = object_of("amount currency per", amount=TEXT, currency=TEXT, per={"enum": ["month", "hour", "once"]})
AUDIT: Json = {
    "position": COUNT,
    "at": MOMENT,
    "principal": TEXT,
    "credential": TEXT,
    "action": TEXT,
    "resource": TEXT,
    "detail": {"type": "object"},
}


def page_of(name: str, items: Json) -> Json:
    """A page of a list."""
    return object_of(f"success {name}", success=TRUE, **{name: list_of(items)}, nextPageToken=TEXT)


PREVIEW = object_of(
    "success preview",
    success=TRUE,
    preview=object_of(
        "config actions",
        config={"type": "object"},
        actions=list_of(object_of("action what detail", action=TEXT, what=TEXT, detail=TEXT)),
        price=PRICE,
    ),
)
CHANGES = object_of(
    "success changes",
    success=TRUE,
    changes=list_of(
        object_of("pointer effect", pointer=TEXT, old={}, new={}, effect={"enum": ["in-place", "restart", "replace"]})
    ),
)
PLUGINS = list_of(object_of("plugin message", plugin=TEXT, message=TEXT))

COMPONENTS: Json = {
    "Problem": {
        "type": "object",
        "properties": {
            "type": TEXT,
            "title": TEXT,
            "status": {"type": "integer"},
            "detail": TEXT,
            "success": {"const": False},
            "error": TEXT,
            "errors": list_of(object_of("pointer message", pointer=TEXT, message=TEXT)),
        },
        "required": ["type", "title", "status", "detail", "success", "error"],
        "additionalProperties": False,
    },
    "Resource": object_of(FULL_REQUIRED, **FULL),
    "Provisioned": object_of(FULL_REQUIRED, **FULL, credentials=TEXTS),
    "Accepted": object_of(
        FULL_REQUIRED + " operation", **{**FULL, "success": {"type": "boolean"}, "error": TEXT, "credentials": TEXTS}
    ),
    "Resources": page_of("resources", object_of(SUMMARY_REQUIRED, **SUMMARY)),
    "Preview": PREVIEW,
    "Changes": CHANGES,
    "ResourceOrChanges": {"oneOf": [ref("Resource"), ref("Changes")]},
    "Operation": object_of("success " + OPERATION_REQUIRED, success=TRUE, **OPERATION, result={}),
    "Operations": page_of("operations", object_of(OPERATION_REQUIRED, **OPERATION)),
    "Done": object_of("success message", success=TRUE, id=TEXT, message=TEXT),
    "Metrics": object_of(
        "success id metrics collectedAt",
        success=TRUE,
        id=TEXT,
        metrics={
            "type": "object",
            "additionalProperties": object_of("value unit help", value={"type": "number"}, unit=TEXT, help=TEXT),
        },
        collectedAt=MOMENT,
    ),
    "Logs": object_of(
        "success lines",
        success=TRUE,
        lines=list_of(object_of("time level message", time=MOMENT, level=TEXT, message=TEXT)),
    ),
    "Credentials": object_of("success id credentials", success=TRUE, id=TEXT, credentials=TEXTS),
    "Token": object_of("success token expiresAt", success=TRUE, token=TEXT, expiresAt=MOMENT),
    "KeyRequest": KeyRequest.model_json_schema(by_alias=True),
    "Key": object_of("success id name role createdAt preview", success=TRUE, **KEY),
    "Keys": page_of("keys", object_of("id name role createdAt preview", **KEY)),
    "Audit": page_of("entries", object_of("position at principal credential action", **AUDIT)),
    "Verification": object_of(
        "success intact entries unchained anchor breaks",
        success=TRUE,
        intact={"type": "boolean"},
        entries=COUNT,
        unchained=COUNT,
        anchor=TEXT,
        breaks=list_of(object_of("position message", position={"type": "integer"}, message=TEXT)),
    ),
    "Findings": object_of(
        "success findings",
        success=TRUE,
        findings=list_of(
            object_of(
                "check severity message remedy",
                check=TEXT,
                severity={"enum": ["ok", "warning", "error"]},
                message=TEXT,
                remedy=TEXT,
            )
        ),
    ),
    "Providers": object_of("providers", providers=list_of({"type": "object"})),
    "Health": object_of("success status", success=TRUE, status=TEXT),
    "Ready": object_of("success status plugins", success=TRUE, status=TEXT, plugins=PLUGINS),
    "NotReady": object_of("success status plugins", success={"const": False}, status=TEXT, plugins=PLUGINS),
}


def _query(name: str, schema: Json, description: str, *, required: bool = False) -> Json:
    return {"name": name, "in": "query", "required": required, "schema": schema, "description": description}


def _header(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "header", "required": False, "schema": schema, "description": description}


FLAG: Json = {"enum": ["true", "false"]}
PARAMETERS: Json = {
    "Id": {"name": "id", "in": "path", "required": True, "schema": TEXT},
    "Organisation": _query("org", {"type": "string", "minLength": 1}, "Display name.", required=True),
    "Project": _query("project", {"type": "string", "minLength": 1}, "Display name.", required=True),
    "PageSize": _query("page_size", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}, "Entries on a page."),
    "PageToken": _query("page_token", TEXT, "`nextPageToken` of the page before."),
    "Status": _query("status", {"enum": list(Status)}, "Only these; deleted ones are left out otherwise."),
    "Action": _query("action", TEXT, "Only entries of this action, such as `delete`."),
    "Principal": _query("principal", TEXT, "Only what this principal did."),
    "Resource": _query("resource", TEXT, "Only what was done to this resource."),
    "Since": _query("since", MOMENT, "Only entries from this moment on."),
    "After": _query("after", {"type": "integer", "minimum": 0, "default": 0}, "Only entries behind this position."),
    "Anchor": _query("anchor", TEXT, "`POSITION:HASH` of an entry, kept elsewhere; several may be given."),
    "DryRun": _query("dry_run", FLAG, "Say what would happen; change nothing."),
    "Purge": _query("purge", FLAG, "Free what is kept, for good."),
    "Prefer": _header("Prefer", TEXT, "`wait=SECONDS` (at most 60) or `respond-async` (RFC 7240)."),
    "IdempotencyKey": _header(
        "Idempotency-Key",
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"},
        "The same key with the same request gets the recorded answer for 24 hours.",
    ),
    "IfMatch": _header("If-Match", TEXT, "ETags of which one must fit, or `*`."),
    "IfNoneMatch": _header("If-None-Match", TEXT, "ETags; an unchanged resource answers 304."),
    "LastEventId": _header("Last-Event-ID", {"type": "string", "pattern": "^[0-9]{1,18}$"}, "Go on behind this event."),
    "LastLine": _header("Last-Event-ID", TEXT, "Of a stream: go on behind this line."),
}
HEADERS: Json = {
    "Location": {"schema": TEXT, "description": "Of the resource when it is ready, of the operation until then."},
    "ETag": {"schema": TEXT, "description": "Changes with every visible change except progress."},
}
