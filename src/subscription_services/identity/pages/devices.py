"""Where one is signed in, and what happened on one's account."""

from __future__ import annotations

from starlette.responses import Response

from subscription_services.identity.browsers import browser_in_words
from subscription_services.identity.operations import devices as ops
from subscription_services.identity.operations import profile
from subscription_services.kernel.errors import StepUpNeeded
from subscription_services.kernel.words import counted, table
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState
from subscription_services.web.routes import Route, get, post

from .happenings import lines_of
from .sign_in import to_confirm

ENDED = notices.declare("session-ended", "success", "That device is signed out.")
OTHERS_ENDED = notices.declare("other-sessions-ended", "success", "Every other device is signed out.")
BOUND = table(
    {
        "device": "To this device's key, by the browser itself",
        "script": "To a key in this browser",
        "network": "Only to its network. Turn on JavaScript and sign in again to bind it to the browser.",
        "program": "To nothing: a program that keeps its own token",
    }
)
IDLE_CHOSEN = notices.declare("idle-chosen", "success", "Your sessions end after that time without use.")
HOURS_CHOSEN = notices.declare("hours-chosen", "success", "Your sessions end after that time in any case.")
HOURS = (1, 2, 4, 8, 12, 24)
TIMES = (5, 10, 15, 30, 60, 120)
PAGE = 100
"""Events of the log; looks at one's own pages make one line of many."""


async def show_devices(call: Call) -> Response:
    """Every open session, this one first."""
    found = await call.perform(ops.devices, ops.ListDevices())
    rows = [(item, browser_in_words(item.browser)) for item in sorted(found, key=lambda item: not item.here)]
    me = await call.perform(profile.profile, profile.ShowProfile())
    times = [(str(minutes), _minutes(minutes)) for minutes in sorted({*TIMES, me.idle_minutes, me.idle_longest})
             if minutes <= me.idle_longest]  # fmt: skip
    hours = [(str(count), _hours(count)) for count in sorted({*HOURS, me.session_hours, me.session_longest})
             if count <= me.session_longest]  # fmt: skip
    form = FormState({"minutes": str(me.idle_minutes), "hours": str(me.session_hours)})
    return call.render(
        "identity/devices.html", rows=rows, others=len(rows) > 1, now=call.now, times=times, hours=hours, form=form,
        bound=BOUND,
    )  # fmt: skip


def _minutes(count: int) -> str:
    return counted("%(num)s minute", "%(num)s minutes", count)


def _hours(count: int) -> str:
    return counted("1 hour", "%(num)s hours", count)


async def choose_idle(call: Call) -> Response:
    """How long a session may stay without use."""
    try:
        done = await call.submit(ops.choose_idle)
    except StepUpNeeded as error:
        return to_confirm(call, "/account/devices", error)
    if done.error is not None:
        raise done.error
    return call.go("/account/devices", None if done.form else IDLE_CHOSEN)


async def choose_hours(call: Call) -> Response:
    """How long a session may last in any case."""
    try:
        done = await call.submit(ops.choose_hours)
    except StepUpNeeded as error:
        return to_confirm(call, "/account/devices", error)
    if done.error is not None:
        raise done.error
    return call.go("/account/devices", None if done.form else HOURS_CHOSEN)


async def end_one(call: Call) -> Response:
    """Sign one device out."""
    done = await call.submit(ops.end_session)
    if done.error is not None:
        raise done.error
    return call.go("/account/devices", None if done.form else ENDED)


async def end_others(call: Call) -> Response:
    """Sign every other device out."""
    done = await call.submit(ops.end_other_sessions)
    if done.error is not None:
        raise done.error
    return call.go("/account/devices", OTHERS_ENDED)


async def show_activity(call: Call) -> Response:
    """A page of one's own history, newest first."""
    after = call.query("after")[:200]
    found = await call.perform(profile.activity, profile.ShowActivity(after, PAGE))
    older = f"/account/activity?after={found.next}" if found.next else None
    return call.render(
        "identity/activity.html", lines=lines_of(found.entries, call.site.kernel.registry), older=older,
        newest="/account/activity" if after else None,
    )  # fmt: skip


def routes() -> tuple[Route, ...]:
    """Pages of devices and history."""
    return (
        get("/account/devices", show_devices, ops.devices),
        post("/account/devices/end", end_one, ops.end_session),
        post("/account/devices/idle", choose_idle, ops.choose_idle),
        post("/account/devices/hours", choose_hours, ops.choose_hours),
        post("/account/devices/end-others", end_others, ops.end_other_sessions),
        get("/account/activity", show_activity, profile.activity),
    )
