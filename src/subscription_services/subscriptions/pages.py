"""Plans for everybody; for a subscriber their subscriptions, and each one with cancel and resume."""

from __future__ import annotations

from starlette.responses import Response

from subscription_services.kernel.actors import Subscriber
from subscription_services.kernel.words import joined, table
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.page import Entry
from subscription_services.web.routes import Route, get, post

from . import operations
from .model import HistoryEntry, Moment
from .requests import ListOwn, ListPlans, OneSubscription
from .words import state_of, what_happens_next

CANCELLED = notices.declare(
    "subscription-cancelled", "success", "Your subscription is cancelled. You keep it until its last day."
)
RESUMED = notices.declare("subscription-resumed", "success", "Your subscription goes on as before.")

_TONES = {
    Moment.ACTIVATED: ("success", "check"), Moment.RECOVERED: ("success", "check"),
    Moment.RENEWED: ("accent", "repeat"),
    Moment.PAST_DUE: ("danger", "warning"), Moment.CANCELLED: ("warning", "clock"), Moment.ENDED: ("neutral", "dot"),
    Moment.TRIAL_STARTED: ("accent", "clock"),
}  # fmt: skip
_BY = table({"subscriber": "By you", "team-member": "By our team", "system": "By the service"})
_HAPPENED = table({
    "opened": "Opened", "trial started": "Trial started", "activated": "Activated", "renewed": "Renewed",
    "past due": "Past due", "recovered": "Recovered", "cancelled at period end": "Cancelled at period end",
    "resumed": "Resumed", "ended": "Ended",
})  # fmt: skip
_DETAILS = table({"account closed": "account closed", "cancelled before": "cancelled before"})


async def show_plans(call: Call) -> Response:
    """The plans on offer."""
    found = await call.perform(operations.list_plans, ListPlans())
    return call.render("subscriptions/plans.html", plans=found.plans, signed_in=isinstance(call.actor, Subscriber))


async def list_subscriptions(call: Call) -> Response:
    """One's own subscriptions."""
    found = await call.perform(operations.list_own, ListOwn())
    rows = [(item, state_of(item), what_happens_next(item)) for item in found.subscriptions]
    return call.render("subscriptions/list.html", rows=rows)


async def show_subscription(call: Call) -> Response:
    """One subscription: status in words, next charge, history."""
    request = OneSubscription(call.path("id"))
    found = await call.perform(operations.show, request)
    past = await call.perform(operations.show_history, request)
    return call.render(
        "subscriptions/show.html", subscription=found, state=state_of(found), next=what_happens_next(found),
        history=[_entry(item) for item in reversed(past.entries)],
    )  # fmt: skip


async def ask_cancel(call: Call) -> Response:
    """Says what cancelling means, before it is done."""
    found = await call.perform(operations.show, OneSubscription(call.path("id")))
    if not found.renews:
        return call.go(f"/subscriptions/{found.id}")
    return call.render("subscriptions/cancel.html", subscription=found)


async def cancel(call: Call) -> Response:
    """Cancel at the end of the period."""
    done = await call.submit(operations.cancel, given={"id": call.path("id")})
    return call.go(f"/subscriptions/{call.path('id')}", None if done.form else CANCELLED)


async def resume(call: Call) -> Response:
    """Take the cancellation back."""
    done = await call.submit(operations.resume, given={"id": call.path("id")})
    return call.go(f"/subscriptions/{call.path('id')}", None if done.form else RESUMED)


def _entry(item: HistoryEntry) -> Entry:
    tone, symbol = _TONES.get(item.what, ("neutral", "dot"))
    detail = joined(_BY.get(item.by, ""), _DETAILS.get(item.detail, item.detail))
    return Entry(item.at, _HAPPENED[item.what.value], detail, tone, symbol)


def routes() -> tuple[Route, ...]:
    """The room's pages."""
    return (
        get("/plans", show_plans, operations.list_plans),
        get("/subscriptions", list_subscriptions, operations.list_own),
        get("/subscriptions/{id}", show_subscription, operations.show),
        get("/subscriptions/{id}/cancel", ask_cancel, operations.show),
        post("/subscriptions/{id}/cancel", cancel, operations.cancel),
        post("/subscriptions/{id}/resume", resume, operations.resume),
    )
