"""OpenAPI 3.1 of the API, made from the registry and msgspec's own schema component."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from subscription_services.kernel.actors import ServiceAccount
from subscription_services.kernel.operations import Operation, permission_text
from subscription_services.web.json_body import holding_objects
from subscription_services.web.problem_kinds import KINDS

SESSION_COOKIE = "__Host-session"
REFERENCE = "#/components/schemas/{name}"
# what any operation may answer; 413 and 415 only where there is a body
_ALWAYS = (400, 401, 403, 404, 409, 410, 421, 422, 429, 431, 500, 503)


def document(operations: Sequence[Operation], *, product: str, version: str) -> dict[str, Any]:
    """The whole document as plain values, ready for JSON."""
    ordered = sorted(operations, key=lambda item: item.name)
    kinds = [kind for item in ordered for kind in (item.request, item.answer)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    pairs = list(zip(schemas[::2], schemas[1::2], strict=True))
    for asked, _ in pairs:
        # unknown fields are refused, so the description says so
        _shape(asked, components)["additionalProperties"] = False
    components["Problem"] = _problem()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{product} API",
            "version": version,
            "description": "One path for each operation. Changes are POST with JSON, reads are GET.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": room} for room in sorted({item.room for item in ordered})],
        "paths": {
            f"/api/{item.name}": {_method(item): _describe(item, asked, answered, components)}
            for item, (asked, answered) in zip(ordered, pairs, strict=True)
        },
        "components": {
            "schemas": components,
            "responses": {"Problem": _problem_response("An error, see /problems")},
            "securitySchemes": {
                "session": {
                    "type": "apiKey", "in": "cookie", "name": SESSION_COOKIE,
                    "description": "A signed-in browser; changes need the header X-CSRF-Token as well.",
                },
                "token": {
                    "type": "http", "scheme": "bearer",
                    "description": "A token of a service account; its scopes are names of operations.",
                },
            },
        },
    }  # fmt: skip


def _method(item: Operation) -> str:
    return "post" if item.changes else "get"


def _describe(item: Operation, asked: Any, answered: Any, components: dict[str, Any]) -> dict[str, Any]:
    statuses = _ALWAYS + ((413, 415) if item.changes else ())
    described: dict[str, Any] = {
        "operationId": item.name,
        "tags": [item.room],
        "summary": item.summary,
        "description": "May be called by: " + "; ".join(permission_text(rule) for rule in item.by) + _needs(item),
        "security": _security(item),
        "responses": {
            "200": {
                "description": "Done and recorded." if item.changes else "What was asked for.",
                "content": {"application/json": {"schema": answered}},
            },
            **{str(status): {"$ref": "#/components/responses/Problem"} for status in sorted(statuses)},
        },
    }
    parameters: list[dict[str, Any]] = []
    if item.changes:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": asked}}}
        if item.idempotent:
            parameters.append({
                "name": "Idempotency-Key", "in": "header", "required": False,
                "description": "Repeating a request with the same key gives the same answer once more.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
            })  # fmt: skip
    else:
        shape, objects = _shape(asked, components), holding_objects(item.request)
        for name, schema in shape.get("properties", {}).items():
            said = {"content": {"application/json": {"schema": schema}}} if name in objects else {"schema": schema}
            parameters.append({"name": name, "in": "query", "required": name in shape.get("required", ()), **said})
    if parameters:
        described["parameters"] = parameters
    return described


def _shape(asked: Any, components: dict[str, Any]) -> dict[str, Any]:
    """The component that a request's reference names."""
    shape: dict[str, Any] = components[asked["$ref"].rpartition("/")[2]]
    return shape


def _needs(item: Operation) -> str:
    return ". Needs: " + ", ".join(need.name for need in item.needs) if item.needs else ""


def _security(item: Operation) -> list[dict[str, list[str]]]:
    allowed: list[dict[str, list[str]]] = [{"session": []}]
    if ServiceAccount.scoped in item.by:
        allowed.append({"token": []})
    if item.public:
        allowed.append({})
    return allowed


def _problem() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "title": "Problem",
        "description": "Problem details (RFC 9457).",
        "type": "object",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference", "enum": [f"/problems/{name}" for name in KINDS]},
            "title": text,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": text,
            "code": text,
            "instance": {"type": "string", "format": "uri"},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["field", "detail"],
                    "properties": {"field": text, "detail": text},
                },
            },
        },
    }


def _problem_response(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
