"""Too many wrong passwords, perhaps of somebody else: the letter that lets the owner try again at once."""

from __future__ import annotations

from starlette.responses import Response

from subscription_services.identity.errors import LinkInvalid
from subscription_services.identity.operations import unlock as ops
from subscription_services.kernel.errors import DomainError
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState, parse
from subscription_services.web.problems import status_of
from subscription_services.web.routes import Route, get, post

from .cookies import keep_device
from .sign_up import LINK_ERRORS

UNLOCKED = notices.declare("unlocked", "success", "You can sign in now. The waiting was for others.")


async def show_ask(call: Call) -> Response:
    """For which account?"""
    return _ask(call, FormState())


async def ask(call: Call) -> Response:
    """Send the letter, if there is somebody to send it to."""
    done = await call.submit(ops.ask_unlock)
    return _ask(call, done.form, done.status) if done.form is not None else call.go("/locked/sent")


async def show_sent(call: Call) -> Response:
    """The same for any address."""
    return call.render("identity/locked_sent.html")


async def show_unlock(call: Call) -> Response:
    """One button: programs that scan letters open links, but press nothing."""
    token = call.query("token")
    return call.render("identity/unlock.html", token=token) if token else _problem(call, LinkInvalid())


async def unlock(call: Call) -> Response:
    """Know this browser from now on."""
    posted = parse(await call.fields(), ops.Unlock)
    if posted.request is None:
        return _problem(call, LinkInvalid())
    try:
        done = await call.perform(ops.unlock, posted.request)
    except LINK_ERRORS as error:
        return _problem(call, error)
    response = call.go("/sign-in", UNLOCKED)
    keep_device(response, done.device)
    return response


def _ask(call: Call, form: FormState, status: int = 200) -> Response:
    return call.render("identity/locked.html", status, form=form, error=None)


def _problem(call: Call, error: DomainError) -> Response:
    return call.render("identity/locked.html", status_of(error), form=FormState(), error=error)


def routes() -> tuple[Route, ...]:
    """Pages for people who have to wait because of wrong passwords."""
    return (
        get("/locked", show_ask, public="whoever is locked out cannot sign in"),
        post("/locked", ask, ops.ask_unlock),
        get("/locked/sent", show_sent, public="says only that a letter was sent"),
        get("/unlock", show_unlock, public="the link of the letter leads here"),
        post("/unlock", unlock, ops.unlock),
    )
