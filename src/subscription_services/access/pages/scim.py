"""The SCIM 2.0 endpoint: thin; each route performs its operation as the service account whose token came along."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from subscription_services.access import scim, scim_documents
from subscription_services.access.operations import scim as ops
from subscription_services.kernel.actors import ServiceAccount
from subscription_services.kernel.errors import DomainError, Malformed, NotFound, NotSignedIn
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.perform import perform
from subscription_services.web.attempts import performing
from subscription_services.web.call import Call, origin_of
from subscription_services.web.json_body import convert
from subscription_services.web.problems import HttpProblem, problem_of
from subscription_services.web.routes import Route

BASE = "/scim/v2"
_TYPES = ("application/scim+json", "application/json")
_KINDS = {
    "filter-refused": "invalidFilter", "user-name-fixed": "mutability", "no-way-back": "mutability",
    "address-taken": "uniqueness", "external-id-taken": "uniqueness", "malformed": "invalidSyntax",
}  # fmt: skip
Answer = Callable[[Call], Awaitable[Response]]


class Scim:
    """The endpoint, bound to the address under which it is reached from outside."""

    def __init__(self, public_url: str) -> None:
        self._base = f"{public_url}{BASE}"

    async def list_users(self, call: Call) -> Response:
        query = call.request.query_params
        given = scim.read_filter(query["filter"]) if "filter" in query else {}
        asked = ops.ListUsers(
            **given, start=max(1, _number(query, "startIndex", 1)),
            count=min(ops.MOST, max(0, _number(query, "count", 100))),
        )  # fmt: skip
        return _json(scim.listed(await _perform(call, ops.scim_users, asked), self._base))

    async def show_user(self, call: Call) -> Response:
        return self._user(await _perform(call, ops.scim_user, ops.OneUser(_id(call))))

    async def create_user(self, call: Call) -> Response:
        made = await _perform(call, ops.scim_create_user, scim.read_created(await _body(call)))
        response = self._user(made, 201)
        response.headers["Location"] = f"{self._base}/Users/{made.id}"
        return response

    async def replace_user(self, call: Call) -> Response:
        asked = scim.read_replaced(_id(call), await _body(call))
        return self._user(await _perform(call, ops.scim_update_user, asked))

    async def patch_user(self, call: Call) -> Response:
        asked = scim.read_patched(_id(call), await _body(call))
        return self._user(await _perform(call, ops.scim_update_user, asked))

    async def delete_user(self, call: Call) -> Response:
        await _perform(call, ops.scim_delete_user, ops.OneUser(_id(call)))
        return Response(status_code=204)

    async def config(self, call: Call) -> Response:
        return _json(scim_documents.service_provider_config(self._base))

    async def types(self, call: Call) -> Response:
        return _json(scim_documents.resource_types(self._base))

    async def user_type(self, call: Call) -> Response:
        return _json(scim_documents.user_type(self._base))

    async def schemas(self, call: Call) -> Response:
        return _json(scim_documents.schemas(self._base))

    async def user_schema(self, call: Call) -> Response:
        return _json(scim_documents.user_schema(self._base))

    def routes(self) -> tuple[Route, ...]:
        """Who asks is found out in the handlers, so that a bad token gets an answer that SCIM clients read."""
        rows: tuple[tuple[str, str, Answer, Operation], ...] = (
            ("GET", "/Users", self.list_users, ops.scim_users),
            ("POST", "/Users", self.create_user, ops.scim_create_user),
            ("GET", "/Users/{id}", self.show_user, ops.scim_user),
            ("PUT", "/Users/{id}", self.replace_user, ops.scim_update_user),
            ("PATCH", "/Users/{id}", self.patch_user, ops.scim_update_user),
            ("DELETE", "/Users/{id}", self.delete_user, ops.scim_delete_user),
        )
        said: tuple[tuple[str, Answer], ...] = (
            ("/ServiceProviderConfig", self.config), ("/ResourceTypes", self.types), ("/Schemas", self.schemas),
            ("/ResourceTypes/User", self.user_type), (f"/Schemas/{scim.USER}", self.user_schema),
        )  # fmt: skip
        return (
            *(
                Route(method, f"{BASE}{path}", _refusing(handler), operation, anonymous=True)
                for method, path, handler, operation in rows
            ),
            *(
                Route("GET", f"{BASE}{path}", handler, reason="what the endpoint can do", anonymous=True)
                for path, handler in said
            ),
        )

    def _user(self, found: Any, status: int = 200) -> Response:
        return _json(scim.resource(found, self._base), status)


def _refusing(handler: Answer) -> Answer:
    async def handle(call: Call) -> Response:
        try:
            return await handler(call)
        except (DomainError, HttpProblem) as error:
            return _error(error)

    handle.__qualname__, handle.__module__ = handler.__qualname__, handler.__module__
    return handle


async def _perform(call: Call, operation: Operation, asked: msgspec.Struct) -> Any:
    """As the service account of the bearer token. Raises NotSignedIn for everybody else, a browser's session too."""
    actor = (await call.site.visitor(call.request)).actor
    if not isinstance(actor, ServiceAccount):
        raise NotSignedIn("Send the token of a service account as “Authorization: Bearer …”.")
    checked = convert(msgspec.to_builtins(asked), operation.request, strict=True)
    performing(call.request)
    return await perform(
        call.site.kernel, operation, actor, checked, origin=origin_of(call.request, "api"),
        correlation_id=call.request.scope.get("state", {}).get("request_id") or None,
    )  # fmt: skip


async def _body(call: Call) -> dict[str, Any]:
    kind = call.request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in _TYPES:
        raise HttpProblem("unsupported-type", f"Send the request as {scim.MEDIA_TYPE}.")
    try:
        found = msgspec.json.decode(await call.request.body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("The body is not valid JSON.") from error
    if not isinstance(found, dict):
        raise Malformed("The body is a JSON object.")
    return found


def _id(call: Call) -> str:
    identifier = call.path("id")
    if not 1 <= len(identifier) <= 48:
        raise NotFound()
    return identifier


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    return int(text) if text.isascii() and text.lstrip("-").isdigit() and len(text) < 10 else default


def _error(error: DomainError | HttpProblem) -> Response:
    """RFC 7644, 3.12. What is not valid is 400 there."""
    problem = problem_of(error)
    status = 400 if problem.status == 422 else problem.status
    fields = "; ".join(f"{name}: {text}" for name, text in problem.fields.items())
    body = {"schemas": [scim.ERROR], "status": str(status), "detail": fields or str(problem.detail)}
    if status in (400, 409) and problem.kind.name != "refused":
        body["scimType"] = _KINDS.get(problem.code, "invalidValue" if status == 400 else "")
    return _json({key: value for key, value in body.items() if value}, status, dict(problem.headers))


def _json(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, headers=headers, media_type=scim.MEDIA_TYPE)


def scim_routes(public_url: str) -> tuple[Route, ...]:
    return Scim(public_url).routes()
