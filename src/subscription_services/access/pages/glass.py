"""Pages of the sealed second way: the envelope, breaking the glass, and the review of what was done."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from starlette.responses import Response

from subscription_services.access import catalogue
from subscription_services.access.glass import GlassState
from subscription_services.access.glass_model import GlassVerdict
from subscription_services.access.operations.glass import (
    LONGEST_MINUTES,
    GlassRecord,
    LookAtGlass,
    OneGlass,
    SealedCode,
    break_glass,
    close_glass_review,
    glass_record,
    glass_state,
    seal_glass,
    try_glass,
)
from subscription_services.access.operations.log import log_entry
from subscription_services.access.operations.people import MyPermissions, my_permissions
from subscription_services.access.operations.tasks import revoke_task
from subscription_services.access.settings import in_force
from subscription_services.access.tasks import About
from subscription_services.kernel.actors import Role, TeamMember
from subscription_services.kernel.errors import NotFound, StepUpNeeded
from subscription_services.kernel.words import table, words
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState
from subscription_services.web.page import Choice
from subscription_services.web.routes import Route, get, post

from .console import ROLE_CHOICES, enter, short
from .log import TONES
from .tasks import KINDS, TIMES

PAGE = "/team/glass"
BEFORE_TYPING = timedelta(minutes=1)
"""Who has to prove themselves anew does so before the form, which then has minutes left."""
BROKEN = notices.declare(
    "access-glass-broken", "warning", "What you asked for is open until its end. Everybody was told.",
    "The glass is broken",
)  # fmt: skip
TRIED = notices.declare(
    "access-glass-tried", "success", "It is the sealed code. Put it back into its envelope. Those in charge were told."
)
REVIEWED = notices.declare("access-glass-reviewed", "success", "The review is closed. Everybody was told.")
LABELS = table({
    "code": "the sealed code", "title": "what has happened", "about_kind": "what it is about", "about": "which one",
    "role": "a role", "minutes": "how long", "verdict": "whether it was right", "findings": "what you found",
})  # fmt: skip
VERDICTS = [
    Choice(GlassVerdict.RIGHT.value, words("It was right"), words("There was need, and no more was done than needed.")),
    Choice(GlassVerdict.WRONG.value, words("It was not"), words("Say below what was wrong, and what follows from it.")),
]


async def show_glass(call: Call) -> Response:
    """The envelope, and each time that it was opened."""
    return await _glass(call)


async def seal(call: Call) -> Response:
    """The first time this leads to the request for approval; the approved request is carried out there."""
    enter(call)
    done = await call.submit(seal_glass, labels=LABELS)
    return await _glass(call, done.form, done.status) if done.form else show_code(call, done.answer)


def show_code(call: Call, answer: SealedCode) -> Response:
    """The code, this once."""
    return call.render("access/glass_code.html", code=answer.code, back=PAGE)


async def attempt(call: Call) -> Response:
    enter(call)
    done = await call.submit(try_glass, secrets=("code",), labels=LABELS)
    return await _glass(call, done.form, done.status) if done.form else call.go(PAGE, TRIED)


async def show_form(call: Call) -> Response:
    """The form that breaks the glass, for who has just proved who they are."""
    if break_glass.name not in enter(call):
        raise NotFound()
    await call.perform(my_permissions, MyPermissions())
    if isinstance(call.actor, TeamMember) and call.now - call.actor.signed_in_at > BEFORE_TYPING:
        raise StepUpNeeded()
    return _form(call, FormState())


async def break_it(call: Call) -> Response:
    enter(call)
    fields = await call.fields()
    given: dict[str, Any] = {"operations": fields.get("operations", "").split()}
    if not fields.get("about"):
        given["about"] = ""  # left empty on purpose, not forgotten
    done = await call.submit(break_glass, secrets=("code",), labels=LABELS, given=given)
    return _form(call, done.form, done.status) if done.form else call.go(f"{PAGE}/{done.answer.id}", BROKEN)


async def show_record(call: Call) -> Response:
    """What was done meanwhile, and the review."""
    return await _record(call)


async def close(call: Call) -> Response:
    enter(call)
    identifier = call.path("id")
    done = await call.submit(close_glass_review, labels=LABELS, given={"id": identifier})
    return await _record(call, done.form, done.status) if done.form else call.go(f"{PAGE}/{identifier}", REVIEWED)


def glass_routes() -> tuple[Route, ...]:
    return (
        get(PAGE, show_glass, glass_state),
        post(f"{PAGE}/seal", seal, seal_glass),
        post(f"{PAGE}/try", attempt, try_glass),
        get(f"{PAGE}/break", show_form, my_permissions),
        post(f"{PAGE}/break", break_it, break_glass),
        get(f"{PAGE}/{{id}}", show_record, glass_record),
        post(f"{PAGE}/{{id}}/close", close, close_glass_review),
    )


async def _glass(call: Call, form: FormState | None = None, status: int = 200) -> Response:
    may = enter(call)
    found: GlassState = await call.perform(glass_state, LookAtGlass())
    return call.render(
        "access/glass.html", status, found=found, form=form or FormState(), now=call.now,
        may_seal=seal_glass.name in may, may_break=break_glass.name in may, may_review=close_glass_review.name in may,
        may_read=glass_record.name in may, me=call.actor.id, days=in_force().glass_review_days,
    )  # fmt: skip


def _form(call: Call, form: FormState, status: int = 200) -> Response:
    lent = {role: sorted(catalogue.lends_by_glass(role)) for role in Role}
    times = [
        ("", words("Choose")),
        *((str(minutes), text) for minutes, text in TIMES if minutes <= LONGEST_MINUTES),
    ]
    return call.render(
        "access/glass_break.html", status, form=form, roles=[("", words("Choose")), *ROLE_CHOICES], times=times,
        kinds=[("", words("Choose")), *((item.value, KINDS[item]) for item in About)], lent=lent,
        days=in_force().glass_review_days,
    )  # fmt: skip


async def _record(call: Call, form: FormState | None = None, status: int = 200) -> Response:
    may = enter(call)
    found: GlassRecord = await call.perform(glass_record, OneGlass(call.path("id")))
    mine = found.broken.task.account == call.actor.id
    return call.render(
        "access/glass_review.html", status, item=found.broken, task=found.broken.task, entries=found.entries,
        under=frozenset(found.under), whole=found.whole, form=form or FormState(), now=call.now, tones=TONES,
        kind=KINDS[About(found.broken.task.about_kind)], mine=mine, verdicts=VERDICTS, short=short,
        may_end=found.broken.open and not mine and revoke_task.name in may,
        may_close=close_glass_review.name in may and not found.broken.why_not, may_prove=log_entry.name in may,
    )  # fmt: skip
