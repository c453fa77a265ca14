"""Another e-mail address: asking for it, the links of both letters, taking it back."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from subscription_services.identity.errors import (
    AddressTaken,
    ChangeOver,
    ConfirmNewFirst,
    LinkExpired,
    LinkInvalid,
    LinkUsed,
    RecoveryOver,
    TooEarly,
)
from subscription_services.identity.operations import email as ops
from subscription_services.identity.operations import recovery
from subscription_services.identity.operations.profile import ShowProfile, profile
from subscription_services.kernel.errors import DomainError, NotFound, StepUpNeeded, TooMany
from subscription_services.kernel.operations import Operation
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState, parse
from subscription_services.web.problems import status_of
from subscription_services.web.routes import Route, get, post

from .account import soon_stale
from .sign_in import to_confirm

PAGE = "/account/email"
ASKED = notices.declare(
    "email-change-asked", "success", "Two letters are on their way: one to your address, one to the new one."
)
STOPPED = notices.declare("email-change-stopped", "success", "The change is stopped. Your address stays as it is.")
CONFIRM_FIRST = notices.declare("email-confirm-new-first", "info", ConfirmNewFirst.message)
REQUESTED = notices.declare(
    "address-recovery-asked", "success",
    "Your request waits now, and our team looks at it. We write to both addresses.",
)  # fmt: skip
NOTHING_WAITS = notices.declare("email-nothing-waits", "info", "No change of your address waits.")
LINK_ERRORS = (LinkInvalid, LinkExpired, LinkUsed, ChangeOver, RecoveryOver, TooEarly, AddressTaken)
_PUBLIC = "the link of the letter leads here"


async def show(call: Call) -> Response:
    """What waits, or the form for a new address; who signed in a while ago proves themselves before typing."""
    if soon_stale(call):
        return to_confirm(call, PAGE)
    return await _page(call, FormState())


async def ask(call: Call) -> Response:
    """Write both letters."""
    try:
        done = await call.submit(ops.ask_email_change, labels={"email": "the new address"})
    except StepUpNeeded as error:
        return to_confirm(call, PAGE, error)
    return await _page(call, done.form, done.status) if done.form is not None else call.go(PAGE, ASKED)


async def stop(call: Call) -> Response:
    """Stop what waits; pressed twice it is just as well."""
    try:
        await call.perform(ops.stop_email_change, ops.StopEmailChange())
    except NotFound:
        return call.go("/account/profile", NOTHING_WAITS)
    return call.go("/account/profile", STOPPED)


async def cannot_read(call: Call) -> Response:
    """The old address can no longer be read: days, notices and the team instead of its letter."""
    try:
        await call.perform(recovery.ask_address_recovery, recovery.AskAddressRecovery())
    except ConfirmNewFirst:
        return call.go(PAGE, CONFIRM_FIRST)
    except NotFound:
        return call.go(PAGE, NOTHING_WAITS)
    except TooMany as error:
        return await _page(call, FormState(problem=error.words), status_of(error))
    except StepUpNeeded as error:
        return to_confirm(call, PAGE, error)
    return call.go(PAGE, REQUESTED)


async def _page(call: Call, form: FormState, status: int = 200) -> Response:
    me = await call.perform(profile, ShowProfile())
    state = await call.perform(ops.show_email_change, ops.ShowEmailChange())
    return call.render("identity/email.html", status, me=me, state=state, form=form)


async def show_confirm(call: Call) -> Response:
    """Two buttons: programs that scan letters open links, but press nothing."""
    token = call.query("token")
    if not token:
        return problem(call, LinkInvalid())
    return call.render("identity/email_confirm.html", token=token)


async def confirm(call: Call) -> Response:
    """Confirm at this end."""
    done = await with_link(call, ops.confirm_email_change)
    if isinstance(done, Response):
        return done
    return call.render("identity/email_done.html", done="changed" if done.done else "half")


async def stop_by_link(call: Call) -> Response:
    """Stop it from either letter."""
    done = await with_link(call, ops.stop_email_change_by_link)
    return done if isinstance(done, Response) else call.render("identity/email_done.html", done="stopped")


async def show_revert(call: Call) -> Response:
    """One button, and what it does."""
    token = call.query("token")
    return call.render("identity/email_revert.html", token=token) if token else problem(call, LinkInvalid())


async def revert(call: Call) -> Response:
    """Put the old address back."""
    done = await with_link(call, ops.revert_email_change)
    return done if isinstance(done, Response) else call.render("identity/email_done.html", done="reverted")


async def with_link(call: Call, operation: Operation) -> Any:
    """Carry out what a link allows; a page that says what is wrong with it instead."""
    posted = parse(await call.fields(), operation.request)
    if posted.request is None:
        return problem(call, LinkInvalid())
    try:
        return await call.perform(operation, posted.request)
    except LINK_ERRORS as error:
        return problem(call, error)


def problem(call: Call, error: DomainError) -> Response:
    """What is wrong with a link of these letters, and where to go on."""
    return call.render("identity/change_problem.html", status_of(error), error=error)


def routes() -> tuple[Route, ...]:
    """Pages of changing an address."""
    return (
        get(PAGE, show, ops.show_email_change),
        post(PAGE, ask, ops.ask_email_change),
        post(f"{PAGE}/stop", stop, ops.stop_email_change),
        post(f"{PAGE}/cannot-read", cannot_read, recovery.ask_address_recovery),
        get("/email/confirm", show_confirm, public=_PUBLIC),
        post("/email/confirm", confirm, ops.confirm_email_change),
        post("/email/stop", stop_by_link, ops.stop_email_change_by_link),
        get("/email/revert", show_revert, public=_PUBLIC),
        post("/email/revert", revert, ops.revert_email_change),
    )
