"""Joining the team with the link of an invitation."""

from __future__ import annotations

from starlette.responses import Response

from subscription_services.identity.errors import LinkInvalid
from subscription_services.identity.operations import people as ops
from subscription_services.identity.passwords import SHORTEST
from subscription_services.identity.sign_on import sign_on_required
from subscription_services.kernel.words import table
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState
from subscription_services.web.routes import Route, get, post

from .account import strength_of
from .binding import offer_binding
from .cookies import keep_session
from .sign_up import LINK_ERRORS, link_problem

WELCOME = notices.declare(
    "welcome-to-the-team", "info",
    "Your password is set. Two-factor sign-in is compulsory for the team: set it up now to get to the console.",
    "Welcome to the team",
)  # fmt: skip

BY_SIGN_ON = notices.declare(
    "join-by-sign-on", "info",
    "Join with single sign-on, by the button below. Your provider has to know you by the address that was invited.",
    "Welcome to the team",
)  # fmt: skip


async def show_enrol(call: Call) -> Response:
    """Ask for a password; the link is used up only when it is sent."""
    if sign_on_required():
        return call.go("/sign-in", BY_SIGN_ON)
    token = call.query("token")
    if not token:
        return link_problem(call, LinkInvalid(), invited=True)
    return call.render("identity/enrol.html", form=FormState({"token": token}), shortest=SHORTEST)


async def enrol(call: Call) -> Response:
    """Set the password, sign in, and on to the second factor."""
    done = await call.submit(ops.enrol, secrets={"password"}, labels=table({"password": "a password"}))
    if isinstance(done.error, LINK_ERRORS):
        return link_problem(call, done.error, invited=True)
    if done.form is not None and done.form.error("token"):
        return link_problem(call, LinkInvalid(), invited=True)
    if done.form is not None:
        return call.render(
            "identity/enrol.html", done.status, form=done.form, shortest=SHORTEST, strength=strength_of(done.error)
        )
    response = call.go("/account/two-factor", WELCOME)
    keep_session(response, done.answer.token)
    offer_binding(call, response, done.answer.token)
    return response


def routes() -> tuple[Route, ...]:
    """Pages of invitations."""
    return (
        get("/enrol", show_enrol, public="the link of the invitation leads here before anybody can sign in"),
        post("/enrol", enrol, ops.enrol),
    )
