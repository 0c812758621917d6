"""The OpenAPI 3.1 description, made from the routes and every provider's schemas."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from enopax_core.api.backups import TAR
from enopax_core.api.components import COMPONENTS, HEADERS, PARAMETERS
from enopax_core.api.downloads import FILE
from enopax_core.api.routes import ApiRoute
from enopax_core.core.core import Core
from enopax_core.core.endpoints import body_schema
from enopax_core.provider.endpoints import CustomEndpoint
from enopax_core.registry import Registered

Json = dict[str, Any]
ERRORS = ("400", "401", "403", "408", "429", "431", "503")
CAPABILITY = {"/metrics": "metrics", "/logs": "logs", "/restore": "restore", "/credentials/rotate": "rotate"}
ANSWERS: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("GET", "/v1/operations"): {"200": "Operations"},
    ("GET", "/v1/operations/{id}"): {"200": "Operation"},
    ("POST", "/v1/operations/{id}/cancel"): {"200": "Operation", "202": "Operation"},
    ("POST", "/v1/operations/{id}/retry"): {"202": "Operation"},
    ("GET", "/v1/keys"): {"200": "Keys"},
    ("POST", "/v1/keys"): {"201": "Key"},
    ("DELETE", "/v1/keys/{id}"): {"200": "Done"},
    ("POST", "/v1/keys/{id}/rotate"): {"200": "Key"},
    ("GET", "/v1/audit"): {"200": "Audit"},
    ("GET", "/v1/admin/audit/verify"): {"200": "Verification"},
    ("GET", "/v1/admin/doctor"): {"200": "Findings"},
    ("POST", "/v1/admin/doctor"): {"200": "Findings"},
    ("GET", ""): {"200": "Resources"},
    ("POST", ""): {"200": "Preview", "201": "Provisioned", "202": "Accepted"},
    ("GET", "/{id}"): {"200": "Resource"},
    ("PUT", "/{id}"): {"200": "ResourceOrChanges", "202": "Accepted"},
    ("PATCH", "/{id}"): {"200": "ResourceOrChanges", "202": "Accepted"},
    ("DELETE", "/{id}"): {"200": "Done", "202": "Accepted"},
    ("GET", "/{id}/metrics"): {"200": "Metrics"},
    ("GET", "/{id}/logs"): {"200": "Logs"},
    ("GET", "/{id}/operations"): {"200": "Operations"},
    ("POST", "/{id}/restore"): {"200": "Resource", "202": "Accepted"},
    ("GET", "/{id}/credentials"): {"200": "Credentials"},
    ("POST", "/{id}/credentials/rotate"): {"200": "Credentials", "202": "Accepted"},
    ("POST", "/{id}/tokens"): {"201": "Token"},
}
"""Successful answers by method and path; of resources, by the path below `/v1/{endpoint}`."""

PAGED = {"/v1/operations", "/v1/keys", "/v1/audit", "", "/{id}/operations"}
FILTERS = {
    "/v1/audit": ("Action", "Principal", "Resource", "Since"),
    "/v1/admin/audit": ("After",),
    "/v1/admin/audit/verify": ("Anchor",),
}
PLACED = {"/v1/operations", "/v1/events", "/v1/audit", ""}


def describe(core: Core, routes: Sequence[ApiRoute], root_path: str = "") -> Json:
    """The whole description. `root_path` is where the application is mounted, without a slash at the end."""
    paths: dict[str, Json] = {}
    for route in routes:
        if not route.path.startswith("/v1/{endpoint}"):
            paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, route.path, "core")
    for known in core.registry.providers:
        for route in routes:
            if route.path.startswith("/v1/{endpoint}") and "{custom" not in route.path and _declared(known, route):
                below = route.path.removeprefix("/v1/{endpoint}")
                operation = _operation(route, below, known.endpoint)
                body = _body(core, known, route, below)
                if body is not None:
                    operation["requestBody"] = body
                    operation["responses"]["413"] = operation["responses"]["415"] = PROBLEM
                paths.setdefault(f"/v1/{known.endpoint}{below}", {})[route.method.lower()] = operation
        for custom in known.endpoints:
            path = f"/v1/{known.endpoint}/{{id}}{custom.path}"
            paths.setdefault(path, {})[custom.method.lower()] = _custom(known, custom, path)
    for plugin_route in core.governors.routes():
        for method, described in (plugin_route.openapi or {}).items():
            paths.setdefault(plugin_route.path.replace(":path", ""), {})[method.lower()] = dict(described)
    paths["/v1/keys"]["post"]["requestBody"] = _json_body({"$ref": "#/components/schemas/KeyRequest"})
    for status in ("413", "415"):
        paths["/v1/keys"]["post"]["responses"][status] = PROBLEM
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Enopax",
            "version": version("enopax-core"),
            "description": "Provision infrastructure through one API.",
        },
        "servers": [{"url": core.settings.public_url or root_path or "/"}],
        "security": [{"apiKey": []}, {"bearer": []}, {"basic": []}] if core.settings.auth else [],
        "paths": {**_public(), **paths},
        "components": {
            "schemas": COMPONENTS,
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "securitySchemes": {
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    }


JSON = "application/json"
BINARY: Json = {"type": "string", "format": "binary"}
PROBLEM: Json = {
    "description": "A problem (RFC 9457).",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def _operation(route: ApiRoute, below: str, tag: str) -> Json:
    answers = ANSWERS.get((route.method, below), {})
    responses: Json = {status: _answer(schema) for status, schema in answers.items()}
    responses |= dict.fromkeys(ERRORS, PROBLEM)
    parameters: list[Json] = []
    if "{id}" in below:
        parameters.append(_parameter("Id"))
    if "{id}" in below or tag != "core":
        responses["404"] = PROBLEM
    if below in PLACED and route.method == "GET":
        parameters += [_parameter("Organisation"), _parameter("Project")]
    if below in PAGED and route.method == "GET":
        parameters += [_parameter("PageSize"), _parameter("PageToken")]
    if below == "" and route.method == "GET":
        parameters.append(_parameter("Status"))
    if route.method != "GET":
        parameters.append(_parameter("IdempotencyKey"))
        responses |= {"402": PROBLEM, "409": PROBLEM, "413": PROBLEM, "415": PROBLEM, "422": PROBLEM}
    if "202" in answers and tag != "core":
        parameters.append(_parameter("Prefer"))
    if below == "/{id}" and route.method != "GET":
        parameters.append(_parameter("IfMatch"))
        responses["412"] = PROBLEM
    if below == "/{id}" and route.method == "DELETE":
        parameters.append(_parameter("Purge"))
    if (below == "" and route.method == "POST") or (below == "/{id}" and route.method in ("PUT", "PATCH")):
        parameters.append(_parameter("DryRun"))
    if below == "/{id}" and route.method == "GET":
        parameters.append(_parameter("IfNoneMatch"))
        responses["304"] = {"description": "Not changed since the ETag in If-None-Match."}
    if below in ("/{id}/metrics", "/{id}/credentials"):
        responses["409"] = PROBLEM
    if below in FILTERS:
        parameters += [_parameter(name) for name in FILTERS[below]]
    if below == "/v1/admin/audit":
        schema = {"type": "string", "description": "One line for each entry; each is a JSON object."}
        responses["200"] = {"description": "The entries.", "content": {"application/jsonl": {"schema": schema}}}
    if below == "/v1/admin/backup":
        responses["200"] = {"description": "The archive.", "content": {TAR: {"schema": BINARY}}}
    if below.endswith("/events"):
        parameters.append(_parameter("LastEventId"))
        schema = {"type": "string", "description": "Server-Sent Events; each `data` is a CloudEvents 1.0 JSON object."}
        responses["200"] = {"description": "The stream.", "content": {"text/event-stream": {"schema": schema}}}
        if "{id}" in below:
            responses["204"] = {"description": "The terminal event was seen already."}
    if below == "/{id}/logs":
        parameters.append(_parameter("LastLine"))
        schema = {"type": "string", "description": "Server-Sent Events; each `data` is a line as a JSON object."}
        responses["200"]["content"]["text/event-stream"] = {"schema": schema}
        responses["204"] = {"description": "It is deleted: nothing more will come."}
    words = re.findall(r"[a-zA-Z]+", f"{route.method.lower()} {tag} {below.removeprefix('/v1')}")
    return {
        "operationId": "_".join(words),
        "summary": route.summary,
        "tags": [tag],
        "description": f"Needs the permission `{route.permission}`{' on the whole installation' if route.installation else ''}.",
        "parameters": parameters,
        "responses": dict(sorted(responses.items())),
    }


def _answer(schema: str) -> Json:
    answer: Json = {
        "description": schema,
        "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }
    if schema in ("Provisioned", "Accepted"):
        answer["headers"] = {"Location": {"$ref": "#/components/headers/Location"}}
    if schema == "Resource":
        answer["headers"] = {"ETag": {"$ref": "#/components/headers/ETag"}}
    return answer


def _parameter(name: str) -> Json:
    return {"$ref": f"#/components/parameters/{name}"}


def _declared(known: Registered, route: ApiRoute) -> bool:
    """What a provider does not declare is left out."""
    below = route.path.removeprefix("/v1/{endpoint}/{id}")
    if route.method in ("PUT", "PATCH"):
        return known.has("update")
    return known.has(CAPABILITY[below]) if below in CAPABILITY else True


def _body(core: Core, known: Registered, route: ApiRoute, below: str) -> Json | None:
    schemas = core.schemas[known.endpoint]
    if below == "" and route.method == "POST":
        return _json_body(dict(schemas.provision))
    if below == "/{id}" and route.method in ("PUT", "PATCH"):
        return _json_body(dict(schemas.update or {}))
    return None


def _json_body(schema: Json) -> Json:
    return {"required": True, "content": {JSON: {"schema": schema}}}


def _custom(known: Registered, custom: CustomEndpoint, path: str) -> Json:
    names = re.findall(r"\{(\w+)\}", custom.path)
    statuses = (*ERRORS, "402", "404", "409", "412", "413", "415", "422")
    schema = body_schema(custom)
    described: Json = {
        "operationId": f"{custom.method.lower()}_{known.endpoint.replace('-', '_')}_{custom.name}",
        "summary": custom.description.partition("\n")[0] or custom.name,
        "tags": [known.endpoint],
        "description": f"{custom.description}\n\nNeeds the permission `{custom.permission}`.",
        "parameters": [
            _parameter("Id"),
            *({"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in names),
            *([_parameter("IdempotencyKey"), _parameter("IfMatch")] if custom.method != "GET" else []),
        ],
        "responses": {
            "200": {
                "description": "What the endpoint gives.",
                "content": {FILE: {"schema": BINARY}} if custom.downloads else {JSON: {"schema": {"type": "object"}}},
            },
            **({} if custom.method == "GET" else {"202": _answer("Accepted")}),
            **dict.fromkeys(statuses, PROBLEM),
        },
    }
    if schema is not None:
        described["requestBody"] = _json_body(schema)
    if custom.uploads:
        described["requestBody"] = {"required": True, "content": {FILE: {"schema": BINARY}}}
    return described


def _public() -> Json:
    def get(summary: str, schema: str, *more: str) -> Json:
        responses = {"200": _answer(schema), **dict.fromkeys((*more, "408", "431"), PROBLEM)}
        return {"get": {"summary": summary, "tags": ["public"], "security": [], "responses": responses}}

    ready = get("Whether the server takes requests", "Ready")
    ready["get"]["responses"]["503"] = _answer("NotReady")
    return {
        "/providers/info": get("What can be provisioned", "Providers"),
        "/healthz": get("Whether the process answers", "Health"),
        "/readyz": ready,
    }
