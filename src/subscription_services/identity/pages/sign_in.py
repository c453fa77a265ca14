"""Signing in with password and code, signing out, proving oneself again."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from starlette.responses import Response

from subscription_services.identity.errors import ChallengeEnded, NotVerified
from subscription_services.identity.operations import second_factor
from subscription_services.identity.operations import sign_in as ops
from subscription_services.identity.sign_on import sign_on
from subscription_services.kernel.actors import Anonymous, TeamMember
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
    return show_sign_in_form(call, FormState())


async def sign_in(call: Call) -> Response:
    """Check the password; then the session, or the code first."""
    done = await call.submit(ops.sign_in, secrets={"password"}, given=before(call))
    if done.form is not None:
        return show_sign_in_form(call, done.form, done.status, done.error)
    wanted = call.next_or(HOME)
    if done.answer.challenge:
        response: Response = call.go(code_path("/sign-in/code", wanted, " ".join(done.answer.ways)))
        keep_challenge(response, done.answer.challenge)
        return response
    return signed_in(call, wanted, done.answer)


def signed_in(call: Call, wanted: str, answer: ops.SignedIn) -> Response:
    """The session's cookies, and on to the page that was wanted."""
    response = call.go(wanted)
    keep_session(response, answer.token)
    offer_binding(call, response, answer.token)
    keep_device(response, answer.device)
    return response


def before(call: Call) -> dict[str, str]:
    """What this browser kept of earlier sign-ins."""
    return {"device": device_of(call.request), "replaces": session_of(call.request)}


def show_sign_in_form(call: Call, form: FormState, status: int = 200, error: DomainError | None = None) -> Response:
    """Password or passkey."""
    return call.render(
        "identity/sign_in.html", status, form=form, action=with_next("/sign-in", call.next_or(HOME)),
        passkey=with_next("/sign-in/passkey", call.next_or(HOME)),
        unverified=isinstance(error, NotVerified), waiting=isinstance(error, TooMany),
        team=with_next("/sign-in/team", call.next_or(HOME)) if sign_on() else "",
    )  # fmt: skip


async def show_code(call: Call) -> Response:
    """Ask for the second factor of a sign-in whose password was right."""
    if not challenge_of(call.request):
        return call.go(with_next("/sign-in", call.next_or(HOME)))
    return show_code_form(call, FormState())


async def sign_in_code(call: Call) -> Response:
    """Finish signing in."""
    wanted = call.next_or(HOME)
    challenge = challenge_of(call.request)
    if not 20 <= len(challenge) <= 100:
        return start_again(call, wanted)
    given = {"challenge": challenge, **before(call)}
    done = await call.submit(ops.sign_in_code, secrets={"code"}, given=given)
    if isinstance(done.error, ChallengeEnded):
        return start_again(call, wanted)
    if done.form is not None:
        return show_code_form(call, done.form, done.status)
    return signed_in(call, wanted, done.answer)


def start_again(call: Call, wanted: str) -> Response:
    response = call.go(with_next("/sign-in", wanted), START_AGAIN)
    forget_challenge(response)
    return response


def show_code_form(call: Call, form: FormState, status: int = 200) -> Response:
    """The second factors that the account has, as the answer to the password said."""
    wanted, by = call.next_or(HOME), call.query("by")[:20]
    return call.render(
        "identity/sign_in_code.html", status, form=form, action=code_path("/sign-in/code", wanted, by),
        passkey=code_path("/sign-in/code/passkey", wanted, by), ways=by.split() or ["code"],
        again=with_next("/sign-in", wanted),
    )  # fmt: skip


def code_path(path: str, wanted: str, ways: str) -> str:
    """The page of the second factor. Which ways it shows stands in its address; what works is decided elsewhere."""
    asked = {"by": ways if ways != "code" else "", "next": wanted if wanted != HOME else ""}
    query = urlencode({name: value for name, value in asked.items() if value}, safe="/")
    return f"{path}?{query}" if query else path


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
    return await show_confirm_form(call, FormState())


async def confirm(call: Call) -> Response:
    """Prove oneself again, then back to where one came from."""
    done = await call.submit(ops.confirm_it_is_me, secrets={"password", "code"})
    if done.form is not None:
        return await show_confirm_form(call, done.form, done.status)
    return confirmed(call, done.answer)


def confirmed(call: Call, answer: ops.SignedIn) -> Response:
    """The session's new token, and back to where one came from."""
    response = call.go(call.next_or(HOME), IT_IS_YOU)
    keep_session(response, answer.token)
    offer_binding(call, response, answer.token)
    return response


async def show_confirm_form(call: Call, form: FormState, status: int = 200) -> Response:
    """Whatever the account can prove itself with."""
    factor = await call.perform(second_factor.second_factor, second_factor.Nothing())
    wanted = call.next_or(HOME)
    kinds = {item.kind for item in factor.factors}
    return call.render(
        "identity/confirm.html", status, form=form, factor=factor.on, app="authenticator" in kinds,
        passkey=with_next("/confirm/passkey", wanted) if "passkey" in kinds else "",
        action=with_next("/confirm", wanted), back=wanted,
        team=sign_on() is not None and isinstance(call.actor, TeamMember),
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
