"""One's own account: overview, name, password, closing it."""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import Response

from subscription_services.identity.errors import WeakPassword
from subscription_services.identity.operations import profile as ops
from subscription_services.identity.operations.email import EmailState, ShowEmailChange, show_email_change
from subscription_services.identity.passwords import SHORTEST, Strength
from subscription_services.identity.queries import Profile
from subscription_services.kernel.actors import Subscriber, TeamMember
from subscription_services.kernel.errors import StepUpNeeded
from subscription_services.kernel.needs import recent_sign_in
from subscription_services.kernel.words import table
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState
from subscription_services.web.routes import Route, get, post

from .binding import offer_binding
from .cookies import forget_session, keep_device, keep_session
from .sign_in import to_confirm

NAME_CHANGED = notices.declare("name-changed", "success", "Your name is changed.")
PASSWORD_CHANGED = notices.declare(
    "password-changed", "success", "Your password is changed. Every other device was signed out."
)
FAIR = notices.declare(
    "password-changed-fair", "success",
    "Your password is changed. Every other device was signed out. It is of fair strength: one more unrelated word "
    "would make it much harder to guess.",
)  # fmt: skip
CLOSED = notices.declare("account-closed", "success", "Your account is closed. Thank you for having been here.")
TYPING = timedelta(minutes=5)


def strength_of(error: object) -> Strength | None:
    """How strong a refused password looked, for the page that shows it."""
    return error.strength if isinstance(error, WeakPassword) else None


def soon_stale(call: Call) -> bool:
    """Whether the last proof of who this is will be too old before a form could be filled in."""
    if not isinstance(call.actor, Subscriber | TeamMember):
        return False
    return call.now - call.actor.signed_in_at > timedelta(minutes=recent_sign_in.minutes) - TYPING


async def show_overview(call: Call) -> Response:
    """Where one stands, and the way to everything else."""
    me = await call.perform(ops.profile, ops.ShowProfile())
    if isinstance(call.actor, TeamMember):
        return call.go("/team" if call.actor.second_factor else "/account/two-factor")
    return call.render("identity/overview.html", me=me)


async def show_profile(call: Call) -> Response:
    """Name, address, and what else can be changed."""
    me = await call.perform(ops.profile, ops.ShowProfile())
    return _profile(call, me, await _address(call), FormState({"name": me.name}))


async def change_name(call: Call) -> Response:
    """Another name."""
    done = await call.submit(ops.change_name, labels=table({"name": "your name"}))
    if done.form is not None:
        me = await call.perform(ops.profile, ops.ShowProfile())
        return _profile(call, me, await _address(call), done.form, done.status)
    return call.go("/account/profile", NAME_CHANGED)


async def _address(call: Call) -> EmailState:
    found: EmailState = await call.perform(show_email_change, ShowEmailChange())
    return found


def _profile(call: Call, me: Profile, address: EmailState, form: FormState, status: int = 200) -> Response:
    return call.render(
        "identity/profile.html", status, me=me, form=form, closable=isinstance(call.actor, Subscriber), address=address
    )  # fmt: skip


async def show_password(call: Call) -> Response:
    """The form; who signed in a while ago proves themselves before typing, so that nothing typed is lost."""
    await call.perform(ops.profile, ops.ShowProfile())
    if soon_stale(call):
        return to_confirm(call, "/account/password")
    return call.render("identity/password.html", form=FormState(), shortest=SHORTEST)


async def change_password(call: Call) -> Response:
    """Another password; the session gets a new token."""
    labels = table({"current": "your current password", "password": "a new password"})
    try:
        done = await call.submit(ops.change_password, secrets={"current", "password"}, labels=labels)
    except StepUpNeeded as error:
        return to_confirm(call, "/account/password", error)
    if done.form is not None:
        return call.render(
            "identity/password.html", done.status, form=done.form, shortest=SHORTEST, strength=strength_of(done.error)
        )
    response = call.go("/account/profile", PASSWORD_CHANGED if done.answer.strength > 2 else FAIR)
    keep_session(response, done.answer.token)
    keep_device(response, done.answer.device)
    offer_binding(call, response, done.answer.token)
    return response


async def show_close(call: Call) -> Response:
    """Says what closing means, before it is done."""
    await call.perform(ops.profile, ops.ShowProfile())
    if not isinstance(call.actor, Subscriber):
        return call.go("/account/profile")
    if soon_stale(call):
        return to_confirm(call, "/account/close")
    return call.render("identity/close.html", form=FormState())


async def close(call: Call) -> Response:
    """Close the account."""
    try:
        done = await call.submit(ops.close_account)
    except StepUpNeeded as error:
        return to_confirm(call, "/account/close", error)
    if done.form is not None:
        return call.render("identity/close.html", done.status, form=done.form)
    response = call.go("/", CLOSED)
    forget_session(response)
    return response


def routes() -> tuple[Route, ...]:
    """Pages of one's own account."""
    return (
        get("/account", show_overview, ops.profile),
        get("/account/profile", show_profile, ops.profile),
        post("/account/profile", change_name, ops.change_name),
        get("/account/password", show_password, ops.profile),
        post("/account/password", change_password, ops.change_password),
        get("/account/close", show_close, ops.profile),
        post("/account/close", close, ops.close_account),
    )
