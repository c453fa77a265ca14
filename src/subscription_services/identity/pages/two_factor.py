"""Two-factor sign-in: authenticator apps and passkeys with their names, recovery codes, turning it off."""

from __future__ import annotations

from msgspec.structs import replace
from starlette.responses import Response

from subscription_services.identity.errors import NotStarted, TooManyFactors
from subscription_services.identity.operations import passkeys
from subscription_services.identity.operations import second_factor as ops
from subscription_services.kernel.actors import TeamMember
from subscription_services.kernel.errors import NotFound, StepUpNeeded
from subscription_services.kernel.operations import Operation
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
IS_OFF = notices.declare("second-factor-is-off", "success", "Two-factor sign-in is off.")
START_FIRST = notices.declare("second-factor-start-first", "info", NotStarted.message)
ADDED = notices.declare("factor-added", "success", "Added. You can use it from now on.")
REMOVED = notices.declare("factor-removed", "success", "Removed. It no longer opens your account.")
RENAMED = notices.declare("factor-renamed", "success", "Renamed.")
FULL = notices.declare("factors-full", "info", TooManyFactors.message)
KINDS = {"authenticator": "authenticators", "passkey": "passkeys"}


async def show(call: Call) -> Response:
    """Every authenticator app and passkey, and what can be done about them."""
    factor = await call.perform(ops.second_factor, ops.Nothing())
    compulsory = isinstance(call.actor, TeamMember)
    return call.render("identity/two_factor.html", factor=factor, compulsory=compulsory, now=call.now)


async def start(call: Call) -> Response:
    """Make the secret; started twice, it is the same one until it is confirmed."""
    try:
        await call.perform(ops.start_totp, ops.Nothing())
    except TooManyFactors:
        return call.go(PAGE, FULL)
    except StepUpNeeded as error:
        return to_confirm(call, PAGE, error)
    return call.go(SET_UP)


async def show_set_up(call: Call) -> Response:
    """The secret as QR code and as text."""
    return await _set_up(call, FormState({"name": ops.AUTHENTICATOR}))


async def confirm(call: Call) -> Response:
    """Add it with a first code, and show recovery codes with the first factor."""
    try:
        done = await call.submit(ops.confirm_totp, secrets={"code"})
    except StepUpNeeded as error:
        return to_confirm(call, SET_UP, error)
    if done.form is not None:
        return await _set_up(call, done.form, done.status)
    return added(call, done.answer)


async def new_codes(call: Call) -> Response:
    """Recovery codes in place of the old ones."""
    try:
        done = await call.submit(ops.new_recovery_codes)
    except StepUpNeeded as error:
        return to_confirm(call, PAGE, error)
    if done.form is not None:
        return call.go(PAGE, START_FIRST)
    return _codes(call, done.answer, again=True)


async def show_one(call: Call) -> Response:
    """One of them: another name, or the way to remove it."""
    found = await _find(call, call.query("id"))
    return _one(call, found, FormState({"name": found.name})) if found is not None else call.go(PAGE)


async def rename_totp(call: Call) -> Response:
    return await _rename(call, ops.rename_totp)


async def rename_passkey(call: Call) -> Response:
    return await _rename(call, passkeys.rename_passkey)


async def show_remove(call: Call) -> Response:
    """Says what removing it means, before it is done."""
    factor = await call.perform(ops.second_factor, ops.Nothing())
    found = next((item for item in factor.factors if item.id == call.query("id")), None)
    last = len(factor.factors) == 1
    if found is None or (last and isinstance(call.actor, TeamMember)):
        return call.go(PAGE)
    if soon_stale(call):
        return to_confirm(call, f"{PAGE}/remove?id={found.id}")
    action = f"{PAGE}/{KINDS[found.kind]}/remove"
    return call.render("identity/remove_factor.html", found=found, last=last, action=action)


async def remove_totp(call: Call) -> Response:
    return await _remove(call, ops.remove_totp)


async def remove_passkey(call: Call) -> Response:
    return await _remove(call, passkeys.remove_passkey)


async def _rename(call: Call, operation: Operation) -> Response:
    done = await call.submit(operation, labels={"name": "a name"})
    if done.error is not None:
        raise done.error
    if done.form is not None:
        found = await _find(call, done.form.value("id"))
        return _one(call, found, done.form, done.status) if found is not None else call.go(PAGE)
    return call.go(PAGE, RENAMED)


async def _remove(call: Call, operation: Operation) -> Response:
    try:
        done = await call.submit(operation)
    except StepUpNeeded as error:
        return to_confirm(call, PAGE, error)
    if done.error is not None and not isinstance(done.error, NotFound):
        raise done.error
    if done.answer is None:
        return call.go(PAGE)
    return call.go(PAGE, REMOVED if done.answer.on else IS_OFF)


async def _find(call: Call, identifier: str) -> ops.Factor | None:
    factor: ops.SecondFactor = await call.perform(ops.second_factor, ops.Nothing())
    return next((item for item in factor.factors if item.id == identifier), None)


def _one(call: Call, found: ops.Factor, form: FormState, status: int = 200) -> Response:
    action = f"{PAGE}/{KINDS[found.kind]}/name"
    return call.render("identity/name_factor.html", status, found=found, form=form, action=action)


async def _set_up(call: Call, form: FormState, status: int = 200) -> Response:
    try:
        made: ops.TotpSecret = await call.perform(ops.pending_totp, ops.Nothing())
    except NotStarted:
        return call.go(PAGE, START_FIRST)
    factor: ops.SecondFactor = await call.perform(ops.second_factor, ops.Nothing())
    key = " ".join(made.secret[at : at + 4] for at in range(0, len(made.secret), 4))
    return call.render("identity/set_up_factor.html", status, form=form, key=key, svg=qr(made.uri), on=factor.on)


def added(call: Call, made: ops.RecoveryCodes) -> Response:
    """After a factor was added: its recovery codes, or back to the list where there were some before."""
    return _codes(call, made) if made.codes else call.go(PAGE, ADDED)


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
        get(f"{PAGE}/name", show_one, ops.second_factor),
        post(f"{PAGE}/authenticators/name", rename_totp, ops.rename_totp),
        post(f"{PAGE}/passkeys/name", rename_passkey, passkeys.rename_passkey),
        get(f"{PAGE}/remove", show_remove, ops.second_factor),
        post(f"{PAGE}/authenticators/remove", remove_totp, ops.remove_totp),
        post(f"{PAGE}/passkeys/remove", remove_passkey, passkeys.remove_passkey),
    )
