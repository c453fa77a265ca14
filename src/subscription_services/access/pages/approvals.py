"""Pages of approvals: what waits for me, what I asked for, one request, and carrying it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from subscription_services.access.approval_model import Way
from subscription_services.access.approval_queries import ApprovalRequest, ApprovalRequests, arguments_as
from subscription_services.access.operations.approvals import (
    ListRequests,
    OneRequest,
    approval_request,
    approval_requests,
    approve,
    ask_approval,
    refuse_approval,
    withdraw_request,
)
from subscription_services.access.operations.glass import seal_glass
from subscription_services.access.settings import LONG_ENOUGH
from subscription_services.kernel.errors import DomainError, NotFound, Refusal
from subscription_services.kernel.perform import perform
from subscription_services.kernel.words import joined, table, words
from subscription_services.web import notices
from subscription_services.web.approval_page import ask_for_approval
from subscription_services.web.attempts import performing
from subscription_services.web.call import ELSEWHERE, Call
from subscription_services.web.forms import FormState
from subscription_services.web.problems import status_of
from subscription_services.web.routes import Route, get, post

from .console import enter
from .glass import show_code

PAGE = "/team/approvals"
ASKED = notices.declare("access-approval-asked", "success", "Your request is on its way to those who can decide it.")
WAITS = notices.declare("access-approval-waits", "warning", "Your request waits, and everybody was told.")
APPROVED = notices.declare("access-approved", "success", "You approved exactly this.")
REFUSED = notices.declare("access-approval-refused", "success", "The request is refused. Who asked for it was told.")
WITHDRAWN = notices.declare("access-withdrawn", "success", "Your request is withdrawn.")
CARRIED_OUT = notices.declare("access-carried-out", "success", "It is done, once. The approval is used up.")
LABELS = table({"reason": "a reason"})
ANSWERS: Mapping[str, Callable[[Call, Any], Response]] = {seal_glass.name: show_code}
"""Pages of answers that hold a secret, by operation: it is shown once, right after it was carried out."""


async def show_inbox(call: Call) -> Response:
    """What waits for a decision of mine, what for others, and what I asked for."""
    enter(call)
    found: ApprovalRequests = await call.perform(approval_requests, ListRequests())
    return call.render("access/approvals.html", found=found, state=state_of, now=call.now)


async def ask(call: Call) -> Response:
    """From the page that said that something needs approval; it is shown again with what is wrong."""
    enter(call)
    done = await call.submit(ask_approval, labels=LABELS)
    if done.form is None:
        return call.go(f"{PAGE}/{done.answer.id}", ASKED if done.answer.way is Way.PEOPLE else WAITS)
    fields = done.form.values
    try:
        msgspec.json.decode(fields.get("arguments", ""), type=dict)
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise NotFound("This form does not say what to ask for. Begin with what you want to do.") from None
    operation, arguments = fields.get("operation", ""), fields["arguments"]
    return ask_for_approval(call.view, PAGE, operation, arguments, done.form, done.status)


async def show_request(call: Call) -> Response:
    """One request, in the words that are approved."""
    return await _request(call)


async def give(call: Call) -> Response:
    enter(call)
    identifier = call.path("id")
    done = await call.submit(approve, given={"id": identifier})
    if done.form is None:
        return call.go(f"{PAGE}/{identifier}", APPROVED)
    return await _request(call, done.form, done.status)


async def refuse(call: Call) -> Response:
    enter(call)
    identifier = call.path("id")
    done = await call.submit(refuse_approval, labels=LABELS, given={"id": identifier})
    if done.form is None:
        return call.go(f"{PAGE}/{identifier}", REFUSED)
    return await _request(call, done.form, done.status)


async def withdraw(call: Call) -> Response:
    enter(call)
    identifier = call.path("id")
    done = await call.submit(withdraw_request, given={"id": identifier})
    return await _request(call, done.form, done.status) if done.form else call.go(PAGE, WITHDRAWN)


async def carry_out(call: Call) -> Response:
    """Do what was approved, as the person who asked; perform() of that operation looks at everything anew."""
    enter(call)
    found: ApprovalRequest = await call.perform(approval_request, OneRequest(call.path("id")))
    kernel = call.site.kernel
    operation = kernel.registry.get(found.words.operation)
    if not found.mine or operation is None or not operation.changes:
        raise NotFound()
    key = (await call.fields()).get("idempotency_key") or None
    performing(call.request)
    try:
        # not call.perform: which operation it is stands in the request for approval, not in the route
        answer = await perform(
            kernel, operation, call.actor, arguments_as(operation, found.arguments), origin=call.origin,
            correlation_id=call.request.scope.get("state", {}).get("request_id") or None, idempotency_key=key,
        )  # fmt: skip
    except DomainError as error:
        if type(error) in ELSEWHERE or isinstance(error, Refusal):
            raise
        return await _request(call, FormState(problem=error.text), status_of(error))
    if operation.name in ANSWERS:
        return ANSWERS[operation.name](call, answer)
    return call.go(f"{PAGE}/{found.id}", CARRIED_OUT)


def approval_routes() -> tuple[Route, ...]:
    why = "the request for approval names the operation that is carried out, and that one is a change"
    return (
        get(PAGE, show_inbox, approval_requests),
        post(PAGE, ask, ask_approval),
        get(f"{PAGE}/{{id}}", show_request, approval_request),
        post(f"{PAGE}/{{id}}/approve", give, approve),
        post(f"{PAGE}/{{id}}/refuse", refuse, refuse_approval),
        post(f"{PAGE}/{{id}}/withdraw", withdraw, withdraw_request),
        Route("POST", f"{PAGE}/{{id}}/carry-out", carry_out, approval_request, why),
    )


def state_of(item: ApprovalRequest) -> tuple[str, str, str]:
    """Words, tone and symbol of a request's state."""
    if item.outcome is not None:
        return {
            "used": (words("Carried out"), "success", "check"),
            "refused": (words("Refused"), "danger", "cross"),
            "withdrawn": (words("Withdrawn"), "neutral", "cross"),
        }[item.outcome]
    if item.waits_for == "This request has ended.":
        return words("Time is up"), "neutral", "clock"
    if not item.waits_for:
        return words("Ready to be carried out"), "success", "check"
    if item.way.value == "alone":
        return words("Waits, everybody is told"), "warning", "clock"
    told = words("%(given)s of %(needed)s approved", given=len(item.approvals), needed=item.needed)
    return told, "accent", "clock"


def _short_wait(item: ApprovalRequest) -> int:
    """Seconds that it waits, where those are too few for anybody to stop it."""
    waits = int((item.runs_from - item.asked_at).total_seconds()) if item.runs_from else 0
    return waits if waits < LONG_ENOUGH else 0


async def _request(call: Call, form: FormState | None = None, status: int = 200) -> Response:
    may = enter(call)
    found: ApprovalRequest = await call.perform(approval_request, OneRequest(call.path("id")))
    return call.render(
        "access/approval.html", status, item=found, roles=joined(*(role.value.capitalize() for role in found.roles)),
        form=form or FormState(), state=state_of(found), now=call.now,
        may_refuse=refuse_approval.name in may and not found.mine and found.ended_at is None,
        over=found.ended_at is not None or found.expires_at <= call.now, short_wait=_short_wait(found),
    )  # fmt: skip
