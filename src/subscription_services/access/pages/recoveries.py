"""Recoveries of accounts that wait: the facts of each, and the decision. The operations are identity's."""

from __future__ import annotations

from starlette.responses import Response

from subscription_services import identity
from subscription_services.kernel.errors import StepUpNeeded
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState
from subscription_services.web.routes import Handler, Route, get, post

from .console import enter
from .unmask import PAGE as UNMASK

PAGE = "/team/recoveries"
APPROVED = notices.declare("recovery-approved", "success", "It is approved, and works once its waiting time is over.")
REFUSED = notices.declare("recovery-refused", "success", "It is refused, and the person is told.")
CONFIRM = notices.declare("recovery-confirm-first", "info", "Confirm that it is you, then look at the request.")
LABELS = {"reason": "a reason"}
_BY_NAME = {item.name: item for item in identity.OPERATIONS}


async def show_all(call: Call) -> Response:
    """Everything that waits, the oldest first."""
    enter(call)
    listed = _BY_NAME["identity.recoveries"]
    found = await call.perform(listed, listed.request())
    return call.render("access/recoveries.html", waiting=found.waiting, now=call.now)


async def show_one(call: Call) -> Response:
    """The facts of one; who signed in a while ago proves themselves first."""
    return await _one(call, FormState())


async def _one(call: Call, form: FormState, status: int = 200) -> Response:
    may = enter(call)
    shown = _BY_NAME["identity.recovery"]
    try:
        facts = await call.perform(shown, shown.request(id=call.path("id")))
    except StepUpNeeded:
        return call.go(f"/confirm?next={PAGE}/{call.path('id')}", CONFIRM)
    name = "approve_team_recovery" if facts.team else "approve_recovery"
    mine = facts.account == call.actor.id
    return call.render(
        "access/recovery.html", status, facts=facts, form=form, mine=mine, now=call.now,
        may_decide=f"identity.{name}" in may and not mine and facts.state == "open",
        browsers=[identity.browser_in_words(item.browser) for item in facts.sign_ins],
        unmask=f"{UNMASK}/{facts.account}" if "access.unmask" in may and not facts.team else "",
        browser=identity.browser_in_words(facts.browser), path=f"{PAGE}/{facts.id}", team="-team" if facts.team else "",
    )  # fmt: skip


def _decide(name: str, notice: str) -> Handler:
    operation = _BY_NAME[name]

    async def decide(call: Call) -> Response:
        enter(call)
        try:
            done = await call.submit(operation, labels=LABELS, given={"id": call.path("id")})
        except StepUpNeeded:
            return call.go(f"/confirm?next={PAGE}/{call.path('id')}", CONFIRM)
        return await _one(call, done.form, done.status) if done.form is not None else call.go(PAGE, notice)

    return decide


def recovery_routes() -> tuple[Route, ...]:
    """The pages of recoveries."""
    wanted = (
        ("approve", "identity.approve_recovery", APPROVED), ("refuse", "identity.refuse_recovery", REFUSED),
        ("approve-team", "identity.approve_team_recovery", APPROVED),
        ("refuse-team", "identity.refuse_team_recovery", REFUSED),
    )  # fmt: skip
    return (
        get(PAGE, show_all, _BY_NAME["identity.recoveries"]),
        get(f"{PAGE}/{{id}}", show_one, _BY_NAME["identity.recovery"]),
        *(post(f"{PAGE}/{{id}}/{path}", _decide(name, notice), _BY_NAME[name]) for path, name, notice in wanted),
    )
