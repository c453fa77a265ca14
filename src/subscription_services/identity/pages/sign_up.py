"""From an address to an account: sign up, the letter, the link in it."""

from __future__ import annotations

from starlette.responses import Response

from subscription_services.identity.errors import LinkExpired, LinkInvalid, LinkUsed
from subscription_services.identity.operations import sign_up as ops
from subscription_services.identity.passwords import SHORTEST
from subscription_services.kernel.actors import Anonymous
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.words import table
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState
from subscription_services.web.problems import status_of
from subscription_services.web.routes import Route, get, post

from .account import strength_of
from .cookies import beginner_of, keep_beginner

VERIFIED = notices.declare("address-verified", "success", "Your address is confirmed. Sign in to begin.")
SENT_AGAIN = notices.declare(
    "letter-sent-again", "success", "If the address waits for confirmation, a new letter is on its way to it."
)
LINK_ERRORS = (LinkInvalid, LinkExpired, LinkUsed)
_LABELS = table({"name": "your name", "email": "your e-mail address", "password": "a password"})


async def show_sign_up(call: Call) -> Response:
    """The form; who is signed in has an account."""
    if not isinstance(call.actor, Anonymous):
        return call.go("/account")
    return call.render("identity/sign_up.html", form=FormState(), shortest=SHORTEST)


async def sign_up(call: Call) -> Response:
    """Begin an account."""
    done = await call.submit(ops.sign_up, secrets={"password"}, labels=_LABELS)
    if done.form is not None:
        return call.render(
            "identity/sign_up.html", done.status, form=done.form, shortest=SHORTEST, strength=strength_of(done.error)
        )
    response = call.go("/sign-up/sent")
    keep_beginner(response, done.answer.browser)
    return response


async def show_sent(call: Call) -> Response:
    """What happens next, and the way to a second letter."""
    return call.render("identity/sent.html", form=FormState())


async def send_again(call: Call) -> Response:
    """A new letter."""
    done = await call.submit(ops.resend_verification)
    if done.form is not None:
        return call.render("identity/sent.html", done.status, form=done.form)
    return call.go("/sign-up/sent", SENT_AGAIN)


async def show_verify(call: Call) -> Response:
    """One button: programs that scan letters open links, but press nothing. Another browser types the password too."""
    token = call.query("token")
    if not token:
        return link_problem(call, LinkInvalid())
    return _verify_form(call, FormState(), token)


async def verify(call: Call) -> Response:
    """Prove the address."""
    token = (await call.fields()).get("token", "")
    given = {"browser": beginner_of(call.request)}
    done = await call.submit(ops.verify_address, secrets={"password"}, given=given)
    if isinstance(done.error, LINK_ERRORS):
        return link_problem(call, done.error)
    if done.form is not None:
        if not 20 <= len(token) <= 100:
            return link_problem(call, LinkInvalid())
        return _verify_form(call, done.form, token, done.status, ask=True)
    return call.go("/sign-in", VERIFIED)


def _verify_form(call: Call, form: FormState, token: str, status: int = 200, *, ask: bool = False) -> Response:
    ask = ask or not beginner_of(call.request)
    return call.render("identity/verify.html", status, form=form, token=token, ask=ask)


def link_problem(call: Call, error: DomainError, *, invited: bool = False) -> Response:
    """What is wrong with a link and how to go on. `invited`: the team's invitations come from an administrator."""
    return call.render(
        "identity/link_problem.html", status_of(error), error=error, used=isinstance(error, LinkUsed),
        expired=isinstance(error, LinkExpired), invited=invited, form=FormState(),
    )  # fmt: skip


def routes() -> tuple[Route, ...]:
    """Pages for people who have no account yet."""
    return (
        get("/sign-up", show_sign_up, public=ops.STRANGERS),
        post("/sign-up", sign_up, ops.sign_up),
        get("/sign-up/sent", show_sent, public="says only that a letter was sent"),
        post("/sign-up/again", send_again, ops.resend_verification),
        get("/verify", show_verify, public="the link of the letter leads here before anybody can sign in"),
        post("/verify", verify, ops.verify_address),
    )
