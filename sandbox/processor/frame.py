"""The card form, in a frame of the processor's own origin, so that no number passes through the embedding site."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hmac import compare_digest
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sandbox.processor import payments, setups
from sandbox.processor.api import Desk, read_body
from sandbox.processor.calls import Call
from sandbox.processor.cards import FieldProblem, read_card
from sandbox.processor.currencies import written
from sandbox.processor.errors import Json, Refusal
from sandbox.processor.intents import check_return_url
from sandbox.processor.methods import from_card

_HERE = Path(__file__).parent
_PAGES = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_STYLE = (_HERE / "templates" / "frame.css").read_text(encoding="utf-8")
# An embedder may be cross-origin isolated: then every answer in the frame, redirects too, must allow it.
_HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "cross-origin",
}
_KINDS = {"payment": "payment_intent", "setup": "setup_intent"}
_FIELD_OF_PARAM = {"exp_month": "expiry", "exp_year": "expiry", "cvc": "cvc"}


@dataclass(frozen=True)
class Visit:
    """A frame opened for one intent by someone who knows its client secret."""

    room: str
    intent: Json
    client_secret: str
    return_url: str
    publishable_key: str

    @property
    def query(self) -> str:
        """The same frame's query string."""
        return urlencode(
            {
                "client_secret": self.client_secret,
                "return_url": self.return_url,
                "publishable_key": self.publishable_key,
            }
        )


def _open(call: Call, room: str, sent: dict[str, str]) -> Visit:
    secret, key = sent.get("client_secret", ""), sent.get("publishable_key", "")
    if not compare_digest(key.encode(), call.settings.publishable_key.encode()):
        raise Refusal("The publishable key is not this processor's.", status=401)
    identifier, _, _ = secret.partition("_secret_")
    intent = call.store.get(_KINDS[room], identifier)
    if intent is None or not compare_digest(intent["client_secret"].encode(), secret.encode()):
        raise Refusal("The client secret opens nothing here.", status=404)
    return_url = check_return_url(call, sent.get("return_url", ""))
    return Visit(room, intent, secret, return_url, key)


def back(visit: Visit, status: str) -> str:
    """The return URL with what Stripe adds to it."""
    kind = _KINDS[visit.room]
    parts = urlsplit(visit.return_url)
    added = {
        kind: visit.intent["id"],
        f"{kind}_client_secret": visit.client_secret,
        "redirect_status": status,
    }
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *added.items()])
    return parts._replace(query=query).geturl()


def _page(desk: Desk, template: str, status: int, **shown: Any) -> Response:
    nonce = secrets.token_urlsafe(16)
    ancestors = " ".join(desk.settings.embedders) or "'none'"
    policy = (
        f"default-src 'none'; style-src 'self'; script-src 'nonce-{nonce}'; form-action 'self'; "
        f"base-uri 'none'; frame-ancestors {ancestors}"
    )
    headers = {**_HEADERS, "content-security-policy": policy}
    text = _PAGES.get_template(template).render(nonce=nonce, **shown)
    return Response(text, status, headers, "text/html")


def _shown(visit: Visit) -> dict[str, Any]:
    intent = visit.intent
    paying = visit.room == "payment"
    amount = written(intent["amount"], intent["currency"]) if paying else ""
    return {
        "visit": visit,
        "amount": amount,
        "action": f"Pay {amount}" if paying else "Save card",
        "paying": paying,
    }


def _form(desk: Desk, visit: Visit, problems: list[FieldProblem], kept: dict[str, str], status: int = 200) -> Response:
    beside = {problem.field: problem.message for problem in reversed(problems)}
    first = problems[0].field if problems else ""
    return _page(desk, "form.html", status, problems=beside, first=first, kept=kept, **_shown(visit))


def _show(desk: Desk, visit: Visit) -> Response:
    status = visit.intent["status"]
    if status == "succeeded":
        return _page(desk, "done.html", 200, target=back(visit, "succeeded"), **_shown(visit))
    if status == "requires_action":
        return _page(desk, "challenge.html", 200, **_shown(visit))
    if status == "canceled":
        return _page(desk, "closed.html", 200, target=back(visit, "failed"), **_shown(visit))
    left = visit.intent["last_payment_error" if visit.room == "payment" else "last_setup_error"]
    problems = []
    if left is not None and left.get("code", "").endswith("_authentication_failure"):
        problems = [FieldProblem("form", left["code"], left["message"])]
    return _form(desk, visit, problems, {})


def _refused(desk: Desk, refusal: Refusal) -> Response:
    return _page(desk, "refused.html", refusal.status, message=refusal.message)


async def _sent(request: Request) -> dict[str, str]:
    try:
        pairs = parse_qsl((await read_body(request, 20_000)).decode(), max_num_fields=20, errors="strict")
    except ValueError as error:
        raise Refusal("The form could not be read.") from error
    return dict(pairs)


def _try_card(desk: Desk, room: str, sent: dict[str, str]) -> Response:
    with desk.store.transaction():
        call = desk.call()
        visit = _open(call, room, sent)
        if visit.intent["status"] not in ("requires_payment_method", "requires_confirmation"):
            return RedirectResponse(f"/frame/{room}?{visit.query}", 303, _HEADERS)
        today = datetime.fromtimestamp(call.now, UTC)
        kept = {name: sent.get(name, "")[:100] for name in ("name", "expiry")}
        card, problems = read_card(
            sent.get("number", ""),
            kept["expiry"],
            sent.get("cvc", ""),
            today=(today.year, today.month),
            key=desk.store.fingerprint_key(),
        )
        if card is None:
            return _form(desk, visit, problems, kept, 422)
        method = from_card(call, card, kept["name"].strip() or None)
        confirm = payments.confirm_with if room == "payment" else setups.confirm_with
        try:
            confirm(call, visit.intent, method["id"], return_url=visit.return_url)
        except Refusal as refusal:
            if not refusal.kept:
                raise
            field = _FIELD_OF_PARAM.get(refusal.param or "", "number")
            problem = FieldProblem(field, refusal.code or "", refusal.message)
            return _form(desk, visit, [problem], kept, 402)
    return RedirectResponse(f"/frame/{room}?{visit.query}", 303, _HEADERS)


def _try_challenge(desk: Desk, room: str, sent: dict[str, str]) -> Response:
    with desk.store.transaction():
        call = desk.call()
        visit = _open(call, room, sent)
        authenticate = payments.authenticate if room == "payment" else setups.authenticate
        if visit.intent["status"] == "requires_action":
            try:
                authenticate(call, visit.intent, passed=sent.get("answer") == "complete")
            except Refusal as refusal:
                if not refusal.kept:
                    raise
                problem = FieldProblem("number", refusal.code or "", refusal.message)
                return _form(desk, visit, [problem], {}, 402)
    return RedirectResponse(f"/frame/{room}?{visit.query}", 303, _HEADERS)


def _handler(desk: Desk, room: str) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        try:
            if request.method == "POST":
                sent = await _sent(request)
                answer = (_try_challenge if "answer" in sent else _try_card)(desk, room, sent)
                desk.deliverer.wake()
                return answer
            return _show(desk, _open(desk.call(), room, dict(request.query_params)))
        except Refusal as refusal:
            return _refused(desk, refusal)

    return handle


async def _style(request: Request) -> Response:
    headers = {"cache-control": "max-age=3600", "cross-origin-resource-policy": "same-origin"}
    return Response(_STYLE, 200, headers, "text/css")


def frame_routes(desk: Desk) -> list[Route]:
    """The frames and their style sheet."""
    return [
        *(Route(f"/frame/{room}", _handler(desk, room), methods=["GET", "POST"]) for room in _KINDS),
        Route("/frame/style.css", _style),
    ]
