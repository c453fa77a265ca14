"""Showing what is masked about a subscriber: what, and why; then the values, once."""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import Response

from subscription_services.access.operations.people import my_permissions
from subscription_services.access.operations.unmask import unmask
from subscription_services.access.unmasking import FIELDS, Unmasked
from subscription_services.kernel.actors import TeamMember
from subscription_services.kernel.errors import Refusal, StepUpNeeded
from subscription_services.kernel.needs import recent_sign_in
from subscription_services.kernel.sight import EVERYTHING, seen_by, unmaskable
from subscription_services.kernel.words import table
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState
from subscription_services.web.routes import Route, get, post

from .console import enter

PAGE = "/team/unmask"
CONFIRM = notices.declare("unmask-confirm-first", "info", "Confirm that it is you, then say what you need to see.")
LABELS = table({"reason": "a reason", "email": "what you need"})
CHOICES = table({"email": "E-mail address", "name": "Name", "address": "Billing address"})


async def show_form(call: Call) -> Response:
    """What to show, and why. Nothing is looked at yet."""
    may = enter(call)
    if unmask.name not in may:
        raise Refusal()
    if stale(call):
        return call.go(f"/confirm?next={PAGE}/{call.path('account')}", CONFIRM)
    return _page(call, FormState())


async def show_values(call: Call) -> Response:
    """The values, in this answer alone."""
    enter(call)
    account = call.path("account")
    try:
        done = await call.submit(unmask, labels=LABELS, given={"account": account})
    except StepUpNeeded:
        return call.go(f"/confirm?next={PAGE}/{account}", CONFIRM)
    if done.form is not None:
        return _page(call, done.form, done.status)
    shown: Unmasked = done.answer
    values = {"email": shown.email, "name": shown.name, "address": shown.address}
    facts = [
        (CHOICES[name], ", ".join(value.splitlines()) or "–") for name, value in values.items() if value is not None
    ]
    return call.render("access/unmask.html", form=FormState(), account=account, facts=facts, choices=(), path=PAGE)


def stale(call: Call) -> bool:
    """Whether the operation would ask first that they confirm who they are."""
    since = call.actor.signed_in_at if isinstance(call.actor, TeamMember) else None
    return since is None or call.now - since > timedelta(minutes=recent_sign_in.minutes)


def unmask_routes() -> tuple[Route, ...]:
    """The page of one subscriber's masked data."""
    return (get(f"{PAGE}/{{account}}", show_form, my_permissions), post(f"{PAGE}/{{account}}", show_values, unmask))


def _page(call: Call, form: FormState, status: int = 200) -> Response:
    roles = call.actor.roles if isinstance(call.actor, TeamMember) else frozenset()
    # by a task alone everything is offered, and what the task's role does not need is refused
    kinds = unmaskable(roles) - seen_by(call.actor, roles) if roles & set(unmask.by) else EVERYTHING
    choices = [(name, CHOICES[name]) for name, kind in FIELDS.items() if kind in kinds]
    return call.render(
        "access/unmask.html", status, form=form, account=call.path("account"), facts=None, choices=choices, path=PAGE,
    )  # fmt: skip
