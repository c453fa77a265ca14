"""The cookies of signing in (RFC 6265bis): bound to this host, over HTTPS only, out of reach of scripts."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from subscription_services.identity.configured import rules
from subscription_services.identity.sign_on import FLOW

SESSION_COOKIE = "__Host-session"
CHALLENGE_COOKIE = "__Host-challenge"
BEGINNER_COOKIE = "__Host-sign-up"
DEVICE_COOKIE = "__Host-device"
FLOW_COOKIE = "__Host-sign-on"
DEVICE_PROOF = "__Host-bound"
SCRIPT_PROOF = "__Host-key"
ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Lax"
"""Of the cookies that show a key; the browser compares them with what it was told at registration."""
_DEVICE_SECONDS = 180 * 86_400
_CLEAR = '"cache", "storage"'


def keep_session(response: Response, token: str) -> None:
    """Sign the browser in until it is closed or the session ends; a sign-in that waited for a code is over."""
    response.set_cookie(SESSION_COOKIE, token, path="/", secure=True, httponly=True, samesite="lax")
    response.delete_cookie(CHALLENGE_COOKIE, path="/", secure=True, httponly=True, samesite="strict")


def session_of(request: Request) -> str:
    """The session that this browser has, whether or not it is good, or nothing."""
    return request.cookies.get(SESSION_COOKIE, "")[:100]


def keep_challenge(response: Response, challenge: str) -> None:
    """Remember that the password was right, for as long as the code may take."""
    seconds = int(rules().code.total_seconds())
    response.set_cookie(
        CHALLENGE_COOKIE, challenge, max_age=seconds, path="/", secure=True, httponly=True, samesite="strict"
    )


def keep_device(response: Response, device: str) -> None:
    """Let this browser be known at its next sign-in; signing out does not forget that."""
    response.set_cookie(
        DEVICE_COOKIE, device, max_age=_DEVICE_SECONDS, path="/", secure=True, httponly=True, samesite="strict"
    )


def device_of(request: Request) -> str:
    """What this browser kept of an earlier sign-in, or nothing."""
    return request.cookies.get(DEVICE_COOKIE, "")[:200]


def keep_beginner(response: Response, browser: str) -> None:
    """Remember that this browser began an account, for as long as the letter's link works."""
    seconds = int(rules().link.total_seconds())
    response.set_cookie(
        BEGINNER_COOKIE, browser, max_age=seconds, path="/", secure=True, httponly=True, samesite="lax"
    )  # fmt: skip


def beginner_of(request: Request) -> str:
    """What this browser kept of beginning an account, or nothing."""
    return request.cookies.get(BEGINNER_COOKIE, "")[:200]


def keep_flow(response: Response, flow: str) -> None:
    """Remember that this browser is on its way through the provider; it comes back by a link from there, hence Lax."""
    seconds = int(FLOW.total_seconds())
    response.set_cookie(FLOW_COOKIE, flow, max_age=seconds, path="/", secure=True, httponly=True, samesite="lax")


def flow_of(request: Request) -> str:
    """What this browser kept on its way to the provider, or nothing."""
    return request.cookies.get(FLOW_COOKIE, "")[:3000]


def forget_flow(response: Response) -> None:
    response.delete_cookie(FLOW_COOKIE, path="/", secure=True, httponly=True, samesite="lax")


def challenge_of(request: Request) -> str:
    """The sign-in that waits for its code, or nothing."""
    return request.cookies.get(CHALLENGE_COOKIE, "")


def keep_device_proof(response: Response, cookie: str) -> None:
    """What the browser itself keeps fresh."""
    _keep_proof(response, DEVICE_PROOF, cookie)


def keep_script_proof(response: Response, cookie: str) -> None:
    """What our script keeps fresh."""
    _keep_proof(response, SCRIPT_PROOF, cookie)


def _keep_proof(response: Response, name: str, cookie: str) -> None:
    seconds = int(rules().bound.total_seconds())
    response.headers.append("Set-Cookie", f"{name}={cookie}; Max-Age={seconds}; {ATTRIBUTES}")


def forget_challenge(response: Response) -> None:
    response.delete_cookie(CHALLENGE_COOKIE, path="/", secure=True, httponly=True, samesite="strict")


def forget_session(response: Response) -> None:
    """Sign the browser out and let it drop what it kept of our pages (Clear Site Data)."""
    for name in (SESSION_COOKIE, DEVICE_PROOF, SCRIPT_PROOF):
        response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="lax")
    response.headers["Clear-Site-Data"] = _CLEAR
