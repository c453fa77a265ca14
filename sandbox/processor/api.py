"""Stripe's HTTP: keys, form bodies, idempotency, errors, and the behaviour asked for."""

import asyncio
import base64
import binascii
import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from sandbox.loopback import clock, token
from sandbox.processor import charges, customers, endpoints, methods, payments, setups
from sandbox.processor.behaviour import Behaviour
from sandbox.processor.calls import Call, expand
from sandbox.processor.delivery import Deliverer
from sandbox.processor.errors import Json, Refusal
from sandbox.processor.forms import Params, decode
from sandbox.processor.settings import API_VERSION, Settings
from sandbox.processor.store import Answer, Store

Operation = Callable[..., Json]
_LARGEST_BODY = 1_000_000

OPERATIONS: tuple[tuple[str, str, Operation], ...] = (
    ("POST", "/v1/customers", customers.create),
    ("GET", "/v1/customers", customers.listing),
    ("GET", "/v1/customers/{customer}", customers.retrieve),
    ("POST", "/v1/customers/{customer}", customers.update),
    ("DELETE", "/v1/customers/{customer}", customers.delete),
    ("GET", "/v1/customers/{customer}/payment_methods", methods.of_customer),
    ("GET", "/v1/customers/{customer}/payment_methods/{method}", methods.one_of_customer),
    ("GET", "/v1/payment_methods", methods.listing),
    ("GET", "/v1/payment_methods/{method}", methods.retrieve),
    ("POST", "/v1/payment_methods/{method}/attach", methods.attach),
    ("POST", "/v1/payment_methods/{method}/detach", methods.detach),
    ("POST", "/v1/payment_intents", payments.create),
    ("GET", "/v1/payment_intents", payments.listing),
    ("GET", "/v1/payment_intents/{intent}", payments.retrieve),
    ("POST", "/v1/payment_intents/{intent}", payments.update),
    ("POST", "/v1/payment_intents/{intent}/confirm", payments.confirm),
    ("POST", "/v1/payment_intents/{intent}/cancel", payments.cancel),
    ("POST", "/v1/setup_intents", setups.create),
    ("GET", "/v1/setup_intents", setups.listing),
    ("GET", "/v1/setup_intents/{intent}", setups.retrieve),
    ("POST", "/v1/setup_intents/{intent}/confirm", setups.confirm),
    ("POST", "/v1/setup_intents/{intent}/cancel", setups.cancel),
    ("GET", "/v1/charges", charges.listing),
    ("GET", "/v1/charges/{charge}", charges.retrieve),
    ("POST", "/v1/refunds", charges.create_refund),
    ("GET", "/v1/refunds", charges.list_refunds),
    ("GET", "/v1/refunds/{refund}", charges.retrieve_refund),
    ("GET", "/v1/events", endpoints.list_events),
    ("GET", "/v1/events/{event}", endpoints.retrieve_event),
    ("POST", "/v1/webhook_endpoints", endpoints.create),
    ("GET", "/v1/webhook_endpoints", endpoints.listing),
    ("GET", "/v1/webhook_endpoints/{endpoint}", endpoints.retrieve),
    ("POST", "/v1/webhook_endpoints/{endpoint}", endpoints.update),
    ("DELETE", "/v1/webhook_endpoints/{endpoint}", endpoints.delete),
)


@dataclass
class Desk:
    """What the handlers share."""

    store: Store
    settings: Settings
    behaviour: Behaviour
    deliverer: Deliverer

    def call(self, request_id: str | None = None, key: str | None = None) -> Call:
        """A call at this moment."""
        return Call(self.store, self.settings, self.behaviour, clock(), request_id, key)


def check_key(request: Request, secret: str) -> None:
    """Refusal 401 unless the secret key was sent as Bearer or as the user name of Basic."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            value = base64.b64decode(value, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            value = ""
    if scheme.lower() not in ("bearer", "basic") or not value:
        raise Refusal("You did not provide an API key.", status=401)
    if not hmac.compare_digest(value.encode(), secret.encode()):
        raise Refusal(f"Invalid API Key provided: {value[:8]}****{value[-4:]}", status=401)


async def read_body(request: Request, most: int = _LARGEST_BODY) -> bytes:
    """The body; Refusal 413 when it is longer than `most` bytes."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            raise Refusal("The request is too large.", status=413)
    return bytes(body)


def _perform(desk: Desk, request: Request, operation: Operation, values: Json, request_id: str) -> tuple[int, str]:
    key = request.headers.get("idempotency-key") if request.method == "POST" else None
    call = desk.call(request_id, key)
    params = Params(values)
    paths = params.strings("expand")
    refused: Refusal | None = None
    with desk.store.transaction():
        try:
            body = operation(call, params, **request.path_params)
            status, text = 200, json.dumps(expand(call, body, paths), indent=2)
        except Refusal as refusal:
            if not refusal.kept:
                raise
            refused = refusal
            status, text = refusal.status, json.dumps(refusal.body(), indent=2)
        if key is not None and (refused is None or refused.kept):
            asked = sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
            desk.store.remember(key, Answer(request.url.path, asked, request_id, status, text), call.second)
    desk.deliverer.wake()
    return status, text


def _replayed(desk: Desk, key: str, path: str, values: Json) -> Answer | None:
    if len(key) > 255:
        raise Refusal("Idempotency keys have at most 255 characters", kind="idempotency_error")
    before = desk.store.answer(key, int(clock()))
    if before is None:
        return None
    if before.endpoint != path:
        message = (
            "Keys for idempotent requests can only be used for the same endpoint they were first used for "
            f"('{path}' vs '{before.endpoint}'). Try using a key other than '{key}' if you meant to execute a "
            "different request."
        )
        raise Refusal(message, kind="idempotency_error")
    if before.request != sha256(json.dumps(values, sort_keys=True).encode()).hexdigest():
        message = (
            "Keys for idempotent requests can only be used with the same parameters they were first used with. "
            f"Try using a key other than '{key}' if you meant to execute a different request."
        )
        raise Refusal(message, kind="idempotency_error")
    return before


def _answer(desk: Desk, request: Request, operation: Operation, raw: bytes) -> Response:
    request_id = f"req_{token(14)}"
    headers = {"request-id": request_id, "stripe-version": API_VERSION, "cache-control": "no-cache, no-store"}
    try:
        check_key(request, desk.settings.secret_key)
        values = decode(raw if request.method == "POST" else request.scope["query_string"])
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        before = None
        if key:
            headers["idempotency-key"] = key
            before = _replayed(desk, key, request.url.path, values)
        if before is not None:
            headers |= {"idempotent-replayed": "true", "original-request": before.request_id}
            status, text = before.status, before.body
        else:
            status, text = _perform(desk, request, operation, values, request_id)
    except Refusal as refusal:
        status, text = refusal.status, json.dumps(refusal.body(), indent=2)
    return Response(text, status, headers, "application/json")


class CutOff(Response):
    """An answer whose connection is closed before its end."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"4096")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        raise ConnectionResetError("the answer is lost, as asked")


def _unavailable(status: int) -> JSONResponse:
    error = {"message": "The sandbox was asked to fail.", "type": "api_error"}
    if status == 429:
        error = {"message": "Too many requests.", "type": "invalid_request_error", "code": "rate_limit"}
    return JSONResponse({"error": error}, status)


def _handler(desk: Desk, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        try:
            raw = await read_body(request)
        except Refusal as refusal:
            return JSONResponse(refusal.body(), refusal.status)
        failures, lost = desk.behaviour.fail_next, desk.behaviour.lose_answers
        if failures.takes(request.method, request.url.path):
            return _unavailable(failures.status)
        answer = _answer(desk, request, operation, raw)
        if lost.takes(request.method, request.url.path):
            if lost.how == "close":
                return CutOff()
            if lost.how == "hang":
                await asyncio.sleep(lost.hang_seconds)
            return _unavailable(500)
        return answer

    return handle


def _behaviour(desk: Desk) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        try:
            check_key(request, desk.settings.secret_key)
            if request.method == "POST":
                desk.behaviour.change(await read_body(request))
        except Refusal as refusal:
            return JSONResponse(refusal.body(), refusal.status)
        except msgspec.MsgspecError as error:
            return JSONResponse({"error": {"message": str(error), "type": "invalid_request_error"}}, 400)
        if desk.behaviour.webhook_shuffle == 0 and desk.store.held():
            with desk.store.transaction():
                desk.store.release_reversed()
        desk.deliverer.wake()
        return Response(msgspec.json.encode(desk.behaviour), media_type="application/json")

    return handle


async def _unknown(request: Request) -> Response:
    message = f"Unrecognized request URL ({request.method}: {request.url.path})."
    return JSONResponse(Refusal(message, status=404).body(), 404)


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok", "sandbox": True})


def api_routes(desk: Desk) -> list[Route]:
    """Every route of the API, and the sandbox's own."""
    routes = [Route(path, _handler(desk, what), methods=[verb]) for verb, path, what in OPERATIONS]
    return [
        *routes,
        Route("/sandbox/behaviour", _behaviour(desk), methods=["GET", "POST"]),
        Route("/sandbox/health", _health),
        Route("/v1/{rest:path}", _unknown, methods=["GET", "POST", "DELETE"]),
    ]
