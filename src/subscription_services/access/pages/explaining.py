"""Pages that say in plain words what somebody can do and why, and who can do something and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from starlette.responses import Response

from subscription_services.access import catalogue
from subscription_services.access.explanations import OWN, PUBLIC, Allowed, Condition, WhatCan, WhoCan
from subscription_services.access.operations.explaining import AskWhatCan, AskWhoCan, what_can, who_can
from subscription_services.access.operations.log import log_entry
from subscription_services.access.operations.people import MyPermissions, my_permissions
from subscription_services.kernel.errors import DomainError, Refusal
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.words import as_words, counted, joined, table, words
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState, parse
from subscription_services.web.problems import status_of
from subscription_services.web.routes import Route, get

from .console import enter
from .log import complete_time

ROOMS = table({
    "identity": "Accounts and signing in", "access": "Team, roles, approvals and the log",
    "subscriptions": "Subscriptions", "billing": "Invoices and payments", "mail": "Mail", "keys": "Keys",
    "ledger": "The log itself", "backups": "Backups", "monitoring": "Monitoring", "disclosure": "Reported weaknesses",
    "privacy": "Data rights", "incidents": "Incidents", "trust": "Promises and their checks",
    "edge": "Connections", "jobs": "Jobs",
})  # fmt: skip
KINDS = table({
    "team-member": "Team member", "subscriber": "Subscriber", "service-account": "Service account",
})  # fmt: skip
OWN_KINDS = table({
    "team-member": "Everybody on the team, for their own account.",
    "subscriber": "Every subscriber, for their own account.",
})  # fmt: skip


async def show_person(call: Call) -> Response:
    """What one person can do and why."""
    return await _powers(call, call.path("id"), f"/team/people/{call.path('id')}", words("Person and roles"))


async def show_program(call: Call) -> Response:
    """What one program can do and why."""
    whose = call.path("id")
    return await _powers(call, whose, f"/team/service-accounts/{whose}", words("Service account"))


async def show_mine(call: Call) -> Response:
    """What the reader can do and why."""
    return await _powers(call, "", "/team", words("Overview"))


async def show_operations(call: Call) -> Response:
    """Everything that can be done here, by what it is about."""
    may = enter(call)
    await call.perform(my_permissions, MyPermissions())
    if who_can.name not in may:
        raise Refusal()
    items = [item for item in catalogue.operations() if not item.internal]
    return call.render("access/operations.html", rooms=_by_room(items), total=len(items))


async def show_operation(call: Call) -> Response:
    """Who can do one thing, and why."""
    may = enter(call)
    asked = {"operation": call.path("name"), "about": call.query("about")}
    posted = parse(asked, AskWhoCan)
    form, status = posted.state, 200
    request = posted.request
    if request is None:
        request, status = AskWhoCan(call.path("name")), 422
    found: WhoCan = await call.perform(who_can, request)
    return call.render(
        "access/operation.html", status, found=found, form=form, rooms=ROOMS, needs=said(found.needs),
        may_prove=log_entry.name in may, own=[OWN_KINDS[kind] for kind in found.own], now=call.now,
        nobody=not (found.people or found.programs or found.own or found.public or found.system),
    )  # fmt: skip


def explaining_routes() -> tuple[Route, ...]:
    return (
        get("/team/powers", show_mine, what_can),
        get("/team/people/{id}/powers", show_person, what_can),
        get("/team/service-accounts/{id}/powers", show_program, what_can),
        get("/team/operations", show_operations, my_permissions),
        get("/team/operations/{name}", show_operation, who_can),
    )


def said(needs: Iterable[Condition]) -> list[str]:
    """What else it takes, in words."""
    return [_said(need) for need in needs]


def _said(need: Condition) -> str:
    match need.kind:
        case "second-factor":
            return words("signed in with a second factor")
        case "recent-sign-in":
            return words("signed in within the last %(minutes)s minutes", minutes=need.number)
        case "approvals":
            roles = joined(*(as_words(role.value.capitalize()) for role in need.roles)) or words("nobody")
            return counted(
                "approved beforehand by %(num)s other person who holds one of: %(roles)s",
                "approved beforehand by %(num)s other people who hold one of: %(roles)s", need.number, roles=roles,
            )  # fmt: skip
        case "open-task":
            return words("an open task that lends it")
    return words("this as well: %(name)s", name=need.kind)


async def _powers(call: Call, whose: str, back: str, label: str) -> Response:
    may = enter(call)
    text = call.query("at")
    posted = parse({"id": whose, **({"at": complete_time(text)} if text else {})}, AskWhatCan)
    form, status = FormState({"at": text}, posted.state.errors, posted.state.problem), 200
    found: WhatCan | None = None
    if posted.request is not None:
        try:
            found = await call.perform(what_can, posted.request)
        except DomainError as error:
            if status_of(error) != 422:
                raise
            form = FormState({"at": text}, error.field_words)
    if found is None:
        status, found = 422, await call.perform(what_can, AskWhatCan(whose))
    return call.render(
        "access/powers.html", status, found=found, rooms=_grouped(found.operations), kinds=KINDS, form=form,
        said=said, reasons={item.id: item for item in found.reasons}, mine=found.account == call.actor.id, back=back,
        back_label=label, may_prove=log_entry.name in may, may_ask=who_can.name in may, now=call.now,
        here=call.view.path, past=bool(text) and status == 200,
    )  # fmt: skip


def _by_room(items: Iterable[Allowed | Operation]) -> list[tuple[str, list[Allowed | Operation]]]:
    """Rooms as people call them, each with what can be done there."""
    found: dict[str, list[Allowed | Operation]] = defaultdict(list)
    for item in items:
        found[item.room].append(item)
    order = [*ROOMS, *sorted(set(found) - set(ROOMS))]
    return [(ROOMS.get(room, as_words(room.capitalize())), found[room]) for room in order if room in found]


def _grouped(items: Iterable[Allowed]) -> list[tuple[str, list[Allowed | Operation]]]:
    """First what somebody gave them, by room; what everybody with an account, or anybody, can do stands at the end."""
    given, own, public = list[Allowed](), list[Allowed | Operation](), list[Allowed | Operation]()
    for item in items:
        (public if item.by == [PUBLIC] else own if item.by[0] == OWN else given).append(item)
    rest = [(words("Their own account"), own), (words("What anybody can do"), public)]
    return [*_by_room(given), *((label, found) for label, found in rest if found)]
