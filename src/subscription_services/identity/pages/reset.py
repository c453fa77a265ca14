"""A forgotten password: ask for a link, and set a new one with it."""

from __future__ import annotations

from starlette.responses import Response

from subscription_services.identity.errors import LinkInvalid
from subscription_services.identity.operations import reset as ops
from subscription_services.identity.passwords import SHORTEST, Strength
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.words import table
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState
from subscription_services.web.problems import status_of
from subscription_services.web.routes import Route, get, post

from .account import strength_of
from .cookies import keep_device
from .sign_up import LINK_ERRORS

RESET = notices.declare("password-reset", "success", "Your new password is set. Sign in with it.")


async def show_forgot(call: Call) -> Response:
    """Which account is it about?"""
    return call.render("identity/forgot.html", form=FormState())


async def forgot(call: Call) -> Response:
    """Send the link, if there is somebody to send it to."""
    done = await call.submit(ops.ask_reset)
    if done.form is not None:
        return call.render("identity/forgot.html", done.status, form=done.form)
    return call.go("/forgot/sent")


async def show_sent(call: Call) -> Response:
    """The same for any address."""
    return call.render("identity/forgot_sent.html")


async def show_reset(call: Call) -> Response:
    """Choose the new password; looking at a link does not use it."""
    token = call.query("token")
    return _form(call, FormState(), token) if token else _problem(call, LinkInvalid())


async def reset(call: Call) -> Response:
    """Set the new password."""
    token = (await call.fields()).get("token", "")
    done = await call.submit(ops.reset_password, secrets={"password"}, labels=table({"password": "a password"}))
    if isinstance(done.error, LINK_ERRORS):
        return _problem(call, done.error)
    if done.form is not None:
        strength = strength_of(done.error)
        return (
            _form(call, done.form, token, done.status, strength)
            if 20 <= len(token) <= 100
            else _problem(call, LinkInvalid())
        )
    response = call.go("/sign-in", RESET)
    keep_device(response, done.answer.device)
    return response


def _form(call: Call, form: FormState, token: str, status: int = 200, strength: Strength | None = None) -> Response:
    return call.render("identity/reset.html", status, form=form, token=token, shortest=SHORTEST, strength=strength)


def _problem(call: Call, error: DomainError) -> Response:
    return call.render("identity/reset_problem.html", status_of(error), error=error, form=FormState())


def routes() -> tuple[Route, ...]:
    """Pages for people who forgot their password."""
    return (
        get("/forgot", show_forgot, public="who forgot the password cannot sign in"),
        post("/forgot", forgot, ops.ask_reset),
        get("/forgot/sent", show_sent, public="says only that a letter was sent"),
        get("/reset", show_reset, public="the link of the letter leads here"),
        post("/reset", reset, ops.reset_password),
    )
