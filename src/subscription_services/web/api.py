"""The API: every operation of the registry at /api/<operation>, drawn from the registry alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

import msgspec
from starlette.responses import Response

from subscription_services.kernel.errors import Malformed
from subscription_services.kernel.operations import Operation, Registry
from subscription_services.kernel.perform import perform
from subscription_services.kernel.words import json_of
from subscription_services.web.attempts import performing
from subscription_services.web.call import Call, origin_of
from subscription_services.web.json_body import read_json, read_query
from subscription_services.web.openapi import document
from subscription_services.web.origin import header_of
from subscription_services.web.routes import Handler, Route

_KEY = re.compile(r"[\x21-\x7e]{1,200}")


def api_routes(registry: Registry, *, product: str, version: str) -> tuple[Route, ...]:
    """A POST for each change, a GET for each read; what only the service itself may do has no route."""
    open_ones = [item for item in registry if not item.internal]

    @cache
    def described() -> bytes:
        """Made when first asked for: most processes never are."""
        return msgspec.json.encode(document(open_ones, product=product, version=version))

    async def openapi(call: Call) -> Response:
        return Response(described(), media_type="application/json", headers={"Cache-Control": "no-cache"})

    return (
        Route("GET", "/api/openapi.json", openapi, reason="the description of the API", anonymous=True),
        *_operations(open_ones),
    )


def _operations(operations: Iterable[Operation]) -> Iterable[Route]:
    for item in operations:
        method = "POST" if item.changes else "GET"
        yield Route(method, f"/api/{item.name}", _handler(item), item, asks_inside=item.simple)


def _handler(operation: Operation) -> Handler:
    async def handle(call: Call) -> Response:
        if operation.changes:
            asked = await read_json(call.request, operation.request)
        else:
            asked = read_query(call.request, operation.request)
        key = idempotency_key(header_of(call.request, b"idempotency-key"))
        performing(call.request)
        answer = await perform(
            call.site.kernel, operation, call.asker or call.actor, asked, origin=origin_of(call.request, "api"),
            correlation_id=call.request.scope.get("state", {}).get("request_id") or None, idempotency_key=key,
        )  # fmt: skip
        return Response(json_of(answer), media_type="application/json")

    handle.__qualname__ = f"{operation.name}"
    handle.__module__ = operation.module
    return handle


def idempotency_key(value: str | None) -> str | None:
    """The header as draft-ietf-httpapi-idempotency-key has it, quoted or bare. Raises Malformed."""
    if value is None:
        return None
    bare = value.strip().removeprefix('"').removesuffix('"')
    if not _KEY.fullmatch(bare):
        raise Malformed("An idempotency key has 1 to 200 printable ASCII characters without spaces.")
    return bare
