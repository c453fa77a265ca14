"""Where browsers bind their session to a key and prove it again: DBSC by themselves, others with our script."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from subscription_services.identity.bindings import offer_of
from subscription_services.identity.errors import BadProof, StaleProof, WrongKey
from subscription_services.identity.model import Held
from subscription_services.identity.operations import binding as ops
from subscription_services.identity.operations.binding import Proven
from subscription_services.kernel.actors import System
from subscription_services.kernel.errors import TooMany, Unavailable
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.perform import perform
from subscription_services.web.attempts import performing
from subscription_services.web.call import Call
from subscription_services.web.json_body import read_json
from subscription_services.web.routes import Route, get, post

from .cookies import ATTRIBUTES, DEVICE_PROOF, SESSION_COOKIE, keep_device_proof, keep_script_proof

REGISTER = "/session/register"
REFRESH = "/session/refresh"
KEY = "/session/key"
RENEW = "/session/renew"
_BROWSER = System("identity.binding")


class KeyProof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    proof: ops.Signed = ""


class Told(msgspec.Struct, frozen=True):
    """What our script is told; `seconds` until it should sign again."""

    step: str
    challenge: str
    first: bool
    seconds: int


def offer_binding(call: Call, response: Response, token: str) -> None:
    """Let the browser register a key for a session that has none of its own (Device Bound Session Credentials)."""
    if call.visitor.held == Held.DEVICE:
        return
    challenge = offer_of(call.site.kernel.keys.for_caller("identity"), token)
    response.headers["Secure-Session-Registration"] = f'(ES256);path="{REGISTER}";challenge="{challenge}"'


async def register(call: Call) -> Response:
    """The browser sends its key; the answer says which cookie it must keep fresh."""
    try:
        proven = await _perform(call, ops.bind_device, ops.BindDevice(_header(call, "secure-session-response")))
    except (BadProof, StaleProof):
        return Response(status_code=400)
    return _config(proven)


async def refresh(call: Call) -> Response:
    """The browser proves its key, or asks for the challenge first. A session that ended is ended there as well."""
    session = _header(call, "sec-secure-session-id")
    if not 1 <= len(session) <= 100:
        return Response(status_code=400)
    asked = ops.RenewDevice(session, _header(call, "secure-session-response"))
    try:
        proven = await _perform(call, ops.renew_device, asked)
    except StaleProof as error:
        return _challenged(session, error.challenge)
    except BadProof:
        proven = await _perform(call, ops.renew_device, ops.RenewDevice(session))
    except WrongKey:
        return _ended(session)
    if proven.step == "ended":
        return _ended(session)
    return _challenged(session, proven.challenge) if proven.step == "challenge" else _config(proven)


async def prove(call: Call) -> Response:
    """Our script asks for a challenge or answers one."""
    asked = await read_json(call.request, KeyProof)
    assert isinstance(asked, KeyProof)
    token = call.request.cookies.get(SESSION_COOKIE, "")
    if not 20 <= len(token) <= 100:
        return _told(Proven("", "none"), 0)
    proven: Proven = await call.perform(ops.prove_key, ops.ProveKey(token, asked.proof))
    seconds = int((proven.until - call.now).total_seconds()) // 2 if proven.until else 0
    response = _told(proven, seconds)
    if proven.cookie:
        keep_script_proof(response, proven.cookie)
    return response


async def show_renew(call: Call) -> Response:
    """The way back for a browser that came without proof: sign, then on to where it wanted to go."""
    return call.render("identity/renew.html", 200, back=call.next_or("/account"))


async def _perform(call: Call, operation: Operation, request: msgspec.Struct) -> Proven:
    performing(call.request)
    try:
        found: Proven = await perform(
            call.site.kernel, operation, _BROWSER, request, origin=call.origin,
            correlation_id=call.request.scope.get("state", {}).get("request_id") or None,
        )  # fmt: skip
    except TooMany as error:
        # a 4xx would make the browser forget its session for good; this only says "later"
        raise Unavailable() from error
    return found


def _header(call: Call, name: str) -> str:
    """A structured string (RFC 9651), or the bare text; too long ones are cut, and then no proof."""
    return call.request.headers.get(name, "").strip().removeprefix('"').removesuffix('"')[: ops.LONGEST]


def _config(proven: Proven) -> Response:
    body = {
        "session_identifier": proven.session,
        "refresh_url": REFRESH,
        "scope": {"include_site": False, "scope_specification": []},
        "credentials": [{"type": "cookie", "name": DEVICE_PROOF, "attributes": ATTRIBUTES}],
    }
    response = _json(body)
    keep_device_proof(response, proven.cookie)
    response.headers["Secure-Session-Challenge"] = f'"{proven.challenge}";id="{proven.session}"'
    return response


def _challenged(session: str, challenge: str) -> Response:
    # without ;id= the browser would drop its session
    return Response(status_code=403, headers={"Secure-Session-Challenge": f'"{challenge}";id="{session}"'})


def _ended(session: str) -> Response:
    # cookies stay: by now they may be those of a newer session of this browser
    return _json({"session_identifier": session, "continue": False})


def _told(proven: Proven, seconds: int) -> Response:
    return _json(Told(proven.step, proven.challenge, proven.first, seconds))


def _json(body: object) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")


def routes() -> tuple[Route, ...]:
    """Binding and proving."""
    return (
        post(REGISTER, register, ops.bind_device, machine=True),
        post(REFRESH, refresh, ops.renew_device, machine=True),
        post(KEY, prove, ops.prove_key),
        get(RENEW, show_renew, public="who came without proof of their key finds the way back here"),
    )
