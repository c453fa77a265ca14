"""Signing in with password and code, signing out, proving oneself again."""

from __future__ import annotations

from urllib.parse import quote

from starlette.responses import Response

from subscription_services.identity.errors import ChallengeEnded, NotVerified
from subscription_services.identity.operations import second_factor
from subscription_services.identity.operations import sign_in as ops
from subscription_services.kernel.actors import Anonymous
from subscription_services.kernel.errors import DomainError, NotSignedIn, StepUpNeeded, TooMany
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState
from subscription_services.web.routes import Route, get, post

from .binding import offer_binding
from .cookies import (
    challenge_of,
    device_of,
    forget_challenge,
    forget_session,
    keep_challenge,
    keep_device,
    keep_session,
    session_of,
)

SIGNED_OUT = notices.declare("signed-out", "success", "You are signed out.")
START_AGAIN = notices.declare("sign-in-again", "info", ChallengeEnded.message)
IT_IS_YOU = notices.declare("it-is-you", "success", "Thank you. You can go on now.")
CONFIRM_FIRST = notices.declare(
    "confirm-first", "info", "Nothing was changed yet. Confirm that it is you, then press the button once more."
)
HOME = "/account"


def with_next(path: str, wanted: str) -> str:
    """`path` with the page to go to afterwards; the overview needs no mention."""
    return path if wanted == HOME else f"{path}?next={quote(wanted, safe='/')}"


async def show_sign_in(call: Call) -> Response:
    """The form; who is signed in goes to their overview."""
    if not isinstance(call.actor, Anonymous):
        return call.go(HOME)
    return _form(call, FormState())


async def sign_in(call: Call) -> Response:
    """Check the password; then the session, or the code first."""
    done = await call.submit(ops.sign_in, secrets={"password"}, given=_before(call))
    if done.form is not None:
        return _form(call, done.form, done.status, done.error)
    wanted = call.next_or(HOME)
    if done.answer.challenge:
        response: Response = call.go(with_next("/sign-in/code", wanted))
        keep_challenge(response, done.answer.challenge)
        return response
    response = call.go(wanted)
    keep_session(response, done.answer.token)
    offer_binding(call, response, done.answer.token)
    keep_device(response, done.answer.device)
    return response


def _before(call: Call) -> dict[str, str]:
    """What this browser kept of earlier sign-ins."""
    return {"device": device_of(call.request), "replaces": session_of(call.request)}


def _form(call: Call, form: FormState, status: int = 200, error: DomainError | None = None) -> Response:
    return call.render(
        "identity/sign_in.html", status, form=form, action=with_next("/sign-in", call.next_or(HOME)),
        unverified=isinstance(error, NotVerified), waiting=isinstance(error, TooMany),
    )  # fmt: skip


async def show_code(call: Call) -> Response:
    """Ask for the second factor of a sign-in whose password was right."""
    if not challenge_of(call.request):
        return call.go(with_next("/sign-in", call.next_or(HOME)))
    return _code_form(call, FormState())


async def sign_in_code(call: Call) -> Response:
    """Finish signing in."""
    wanted = call.next_or(HOME)
    challenge = challenge_of(call.request)
    if not 20 <= len(challenge) <= 100:
        return _start_again(call, wanted)
    given = {"challenge": challenge, **_before(call)}
    done = await call.submit(ops.sign_in_code, secrets={"code"}, given=given)
    if isinstance(done.error, ChallengeEnded):
        return _start_again(call, wanted)
    if done.form is not None:
        return _code_form(call, done.form, done.status)
    response = call.go(wanted)
    keep_session(response, done.answer.token)
    offer_binding(call, response, done.answer.token)
    keep_device(response, done.answer.device)
    return response


def _start_again(call: Call, wanted: str) -> Response:
    response = call.go(with_next("/sign-in", wanted), START_AGAIN)
    forget_challenge(response)
    return response


def _code_form(call: Call, form: FormState, status: int = 200) -> Response:
    wanted = call.next_or(HOME)
    return call.render(
        "identity/sign_in_code.html", status, form=form, action=with_next("/sign-in/code", wanted),
        again=with_next("/sign-in", wanted),
    )  # fmt: skip


async def sign_out(call: Call) -> Response:
    """End the session; pressed twice, or after the session ended by itself, it is just as well."""
    done_already = False
    try:
        await call.perform(ops.sign_out, ops.SignOut())
    except NotSignedIn:
        done_already = True
    response = call.go("/", None if done_already else SIGNED_OUT)
    forget_session(response)
    return response


async def show_confirm(call: Call) -> Response:
    """Ask for the password, and for a code where two-factor sign-in is on."""
    return await _confirm_form(call, FormState())


async def confirm(call: Call) -> Response:
    """Prove oneself again, then back to where one came from."""
    done = await call.submit(ops.confirm_it_is_me, secrets={"password", "code"})
    if done.form is not None:
        return await _confirm_form(call, done.form, done.status)
    response = call.go(call.next_or(HOME), IT_IS_YOU)
    keep_session(response, done.answer.token)
    offer_binding(call, response, done.answer.token)
    return response


async def _confirm_form(call: Call, form: FormState, status: int = 200) -> Response:
    factor = await call.perform(second_factor.second_factor, second_factor.Nothing())
    wanted = call.next_or(HOME)
    return call.render(
        "identity/confirm.html", status, form=form, factor=factor.on, action=with_next("/confirm", wanted), back=wanted
    )  # fmt: skip


def to_confirm(call: Call, back: str, error: StepUpNeeded | None = None) -> Response:
    """Off to prove oneself again, and back to the page where the wish began."""
    return call.go(with_next("/confirm", back), CONFIRM_FIRST if error is not None else None)


def routes() -> tuple[Route, ...]:
    """Pages of signing in and out."""
    return (
        get("/sign-in", show_sign_in, public="nobody is signed in before signing in"),
        post("/sign-in", sign_in, ops.sign_in),
        get("/sign-in/code", show_code, public="the password was right, the code is still due"),
        post("/sign-in/code", sign_in_code, ops.sign_in_code),
        post("/sign-out", sign_out, ops.sign_out),
        get("/confirm", show_confirm, second_factor.second_factor),
        post("/confirm", confirm, ops.confirm_it_is_me),
    )
