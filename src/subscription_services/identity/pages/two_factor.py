"""Two-factor sign-in: turning it on, recovery codes, turning it off."""

from __future__ import annotations

from msgspec.structs import replace
from starlette.responses import Response

from subscription_services.identity.errors import AlreadyOn, NotStarted
from subscription_services.identity.operations import second_factor as ops
from subscription_services.kernel.actors import TeamMember
from subscription_services.kernel.errors import StepUpNeeded
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState
from subscription_services.web.render import qr, render
from subscription_services.web.routes import Route, get, post

from .account import soon_stale
from .binding import offer_binding
from .cookies import keep_session
from .sign_in import to_confirm

PAGE = "/account/two-factor"
SET_UP = f"{PAGE}/set-up"
IS_ON = notices.declare("second-factor-is-on", "info", AlreadyOn.message)
IS_OFF = notices.declare("second-factor-is-off", "success", "Two-factor sign-in is off.")
START_FIRST = notices.declare("second-factor-start-first", "info", NotStarted.message)


async def show(call: Call) -> Response:
    """On or off, and what can be done about it."""
    factor = await call.perform(ops.second_factor, ops.Nothing())
    return call.render("identity/two_factor.html", factor=factor, compulsory=isinstance(call.actor, TeamMember))


async def start(call: Call) -> Response:
    """Make the secret; started twice, it is the same one until it is confirmed."""
    try:
        await call.perform(ops.start_totp, ops.Nothing())
    except AlreadyOn:
        return call.go(PAGE, IS_ON)
    except StepUpNeeded as error:
        return to_confirm(call, PAGE, error)
    return call.go(SET_UP)


async def show_set_up(call: Call) -> Response:
    """The secret as QR code and as text."""
    return await _set_up(call, FormState())


async def confirm(call: Call) -> Response:
    """Turn it on with a first code, and show the recovery codes."""
    try:
        done = await call.submit(ops.confirm_totp, secrets={"code"})
    except StepUpNeeded as error:
        return to_confirm(call, SET_UP, error)
    if done.form is not None:
        return await _set_up(call, done.form, done.status)
    return _codes(call, done.answer)


async def new_codes(call: Call) -> Response:
    """Recovery codes in place of the old ones."""
    try:
        done = await call.submit(ops.new_recovery_codes)
    except StepUpNeeded as error:
        return to_confirm(call, PAGE, error)
    if done.form is not None:
        return call.go(PAGE, START_FIRST)
    return _codes(call, done.answer, again=True)


async def show_remove(call: Call) -> Response:
    """Says what turning it off means, before it is done."""
    factor = await call.perform(ops.second_factor, ops.Nothing())
    if not factor.on or isinstance(call.actor, TeamMember):
        return call.go(PAGE)
    if soon_stale(call):
        return to_confirm(call, f"{PAGE}/remove")
    return call.render("identity/remove_factor.html")


async def remove(call: Call) -> Response:
    """Turn it off."""
    try:
        done = await call.submit(ops.remove_totp)
    except StepUpNeeded as error:
        return to_confirm(call, f"{PAGE}/remove", error)
    if done.error is not None and not isinstance(done.error, NotStarted):
        raise done.error
    return call.go(PAGE, IS_OFF)


async def _set_up(call: Call, form: FormState, status: int = 200) -> Response:
    try:
        made: ops.TotpSecret = await call.perform(ops.pending_totp, ops.Nothing())
    except AlreadyOn:
        return call.go(PAGE, IS_ON)
    except NotStarted:
        return call.go(PAGE, START_FIRST)
    key = " ".join(made.secret[at : at + 4] for at in range(0, len(made.secret), 4))
    return call.render("identity/set_up_factor.html", status, form=form, key=key, svg=qr(made.uri))


def _codes(call: Call, made: ops.RecoveryCodes, *, again: bool = False) -> Response:
    """The codes on a page without forms: with its new token the session has new form tokens, which begin with the
    next page."""
    view = replace(call.view, person=None, nav=(), account_nav=())
    response = render("identity/recovery_codes.html", view, codes=made.codes, again=again)
    if made.token:
        keep_session(response, made.token)
        offer_binding(call, response, made.token)
    return response


def routes() -> tuple[Route, ...]:
    """Pages of the second factor."""
    return (
        get(PAGE, show, ops.second_factor),
        post(f"{PAGE}/start", start, ops.start_totp),
        get(SET_UP, show_set_up, ops.pending_totp),
        post(f"{PAGE}/confirm", confirm, ops.confirm_totp),
        post(f"{PAGE}/codes", new_codes, ops.new_recovery_codes),
        get(f"{PAGE}/remove", show_remove, ops.second_factor),
        post(f"{PAGE}/remove", remove, ops.remove_totp),
    )
