"""Tightening with foresight: choose what would be narrower, see who would have been refused, and do exactly that."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from subscription_services.access import catalogue
from subscription_services.access.errors import GrantEnded, LastAdministrator
from subscription_services.access.foresight import Foreseen
from subscription_services.access.operations.foresight import Foresee, RoleLoses, foresee
from subscription_services.access.operations.people import EndGrant, People, end_grant, people
from subscription_services.access.operations.role_limits import (
    ListLimits,
    RoleLimits,
    list_role_limits,
    narrow_role,
    reset_role_limits,
    widen_role,
)
from subscription_services.access.queries import Team
from subscription_services.access.role_limits import KEPT
from subscription_services.kernel.actors import Role
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.words import as_words, counted, joined, table, words
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState, parse
from subscription_services.web.problems import status_of
from subscription_services.web.routes import Route, get, post

from .console import ROLE_CHOICES, enter

PAGE = "/team/foresight"
OPERATION, GRANT = "op:", "grant:"
NARROWED = notices.declare(
    "access-narrowed", "success", "The role can do less now. Those who hold it are told by mail."
)
WIDENED = notices.declare("access-widened", "success", "It is given back to the role.")
RESET = notices.declare("access-limits-reset", "success", "Roles can do again what the software allows them.")
ENDED = notices.declare("access-grants-ended", "success", "The roles have ended, in every open session.")
LABELS = table({"role": "a role", "reason": "a reason", "operations": "what it loses"})
DAYS = [(str(days), counted("%(num)s day", "%(num)s days", days)) for days in (7, 30, 90, 365)]


async def show(call: Call) -> Response:
    """The form; once something is chosen, what it would have meant."""
    return await _page(call, _asked(call))


async def narrow(call: Call) -> Response:
    """Take the chosen operations from the role: exactly what was shown."""
    fields = await call.fields()
    asked = _chosen(fields)
    done = await call.submit(narrow_role, labels=LABELS, given={"operations": asked["operations"]})
    if done.form:
        return await _page(call, {**asked, "days": fields.get("days", "30")}, done.form, done.status)
    return call.go(f"{PAGE}?role={fields.get('role', '')}", NARROWED)


async def end_grants(call: Call) -> Response:
    """End the chosen grants, one after the other; what cannot be ended stops it, and the rest stays."""
    fields = await call.fields()
    asked = _chosen(fields)
    for grant in asked["grants"]:
        posted = parse(fields, EndGrant, labels=LABELS, given={"id": grant})
        if posted.request is None:
            return await _page(call, {**asked, "days": fields.get("days", "30")}, posted.state, 422)
        try:
            await call.perform(end_grant, posted.request)
        except GrantEnded:  # pressed twice
            continue
        except LastAdministrator as error:
            failed = posted.failed(error)
            return await _page(call, {**asked, "days": fields.get("days", "30")}, failed, status_of(error))
    return call.go(f"{PAGE}?role={fields.get('role', '')}", ENDED)


async def give_back(call: Call) -> Response:
    """Give an operation back to the role; somebody else approves it first."""
    fields = await call.fields()
    done = await call.submit(widen_role, labels=LABELS, given={"operations": _chosen(fields)["operations"]})
    if done.form:
        return await _page(call, {**_asked(call), "role": fields.get("role", "")}, done.form, done.status)
    return call.go(f"{PAGE}?role={fields.get('role', '')}", WIDENED)


async def reset(call: Call) -> Response:
    """Take every limit back, where they were changed beside the service."""
    done = await call.submit(reset_role_limits, labels=LABELS)
    return await _page(call, _asked(call), done.form, done.status) if done.form else call.go(PAGE, RESET)


def foresight_routes() -> tuple[Route, ...]:
    return (
        get(PAGE, show, foresee),
        post(f"{PAGE}/narrow", narrow, narrow_role),
        post(f"{PAGE}/end-grants", end_grants, end_grant),
        post(f"{PAGE}/give-back", give_back, widen_role),
        post(f"{PAGE}/reset", reset, reset_role_limits),
    )


def _asked(call: Call) -> dict[str, Any]:
    given = {name: call.query(name) for name in call.request.query_params}
    return {**_chosen(given), "days": given.get("days", "30")}


def _chosen(fields: dict[str, str]) -> dict[str, Any]:
    """Role, operations and grants of a form or a query."""
    return {
        "role": fields.get("role", "") if fields.get("role", "") in set(Role) else "",
        "operations": sorted(name.removeprefix(OPERATION) for name in fields if name.startswith(OPERATION)),
        "grants": sorted(name.removeprefix(GRANT) for name in fields if name.startswith(GRANT)),
    }


async def _page(call: Call, asked: dict[str, Any], form: FormState | None = None, status: int = 200) -> Response:
    may = enter(call)
    limits: RoleLimits = await call.perform(list_role_limits, ListLimits())
    role = Role(asked["role"]) if asked["role"] else None
    found, problem = None, FormState()
    if role is not None and (asked["operations"] or asked["grants"]):
        days = int(asked["days"]) if asked["days"] in dict(DAYS) else 30
        loses = [RoleLoses(role, asked["operations"])] if asked["operations"] else []
        try:
            found = await call.perform(foresee, Foresee(asked["grants"], loses, days=days))
        except DomainError as error:
            if status_of(error) != 422:
                raise
            problem, status = FormState(problem=error.words), 422
    team: Team | None = await call.perform(people, People()) if role is not None else None
    chosen = {OPERATION + name: "true" for name in asked["operations"]}
    chosen |= {GRANT + item: "true" for item in asked["grants"]}
    choose = FormState({"role": asked["role"], "days": asked["days"], **chosen})
    return call.render(
        "access/foresight.html", status, asked=asked, role=role, found=found, limits=limits, problem=problem,
        form=form or FormState(), choose=choose,
        roles=[("", words("Choose a role")), *ROLE_CHOICES], days=DAYS, operations=_operations(role, limits),
        holders=_holders(team, role), said=_said, may_narrow=narrow_role.name in may, may_end=end_grant.name in may,
        may_widen=widen_role.name in may, now=call.now,
    )  # fmt: skip


def _operations(role: Role | None, limits: RoleLimits) -> list[tuple[str, str]]:
    """What the role could lose: what code allows it and what it has not lost already."""
    if role is None:
        return []
    taken = {item.operation for item in limits.limits if item.role is role}
    kept = KEPT if role is Role.ADMINISTRATOR else frozenset[str]()
    return [
        (item.name, item.summary)
        for item in catalogue.operations()
        if role in item.by and item.name not in taken and item.name not in kept
    ]


def _holders(team: Team | None, role: Role | None) -> list[tuple[str, str]]:
    if team is None:
        return []
    return [(grant.id, person.name) for person in team.people for grant in person.grants if grant.role is role]


def _said(row: Foreseen) -> list[str]:
    """What would have become of it, in words."""
    found: list[str] = []
    if row.refused:
        found.append(counted("refused once", "refused %(num)s times", row.refused))
    if row.asking:
        found.append(
            counted("would have waited for others once", "would have waited for others %(num)s times", row.asking)
        )
    if row.otherwise or row.perhaps:
        ways = joined(*(_way(item) for item in row.by))
        number = row.otherwise + row.perhaps
        found.append(
            counted("still allowed once, by: %(ways)s", "still allowed %(num)s times, by: %(ways)s", number, ways=ways)
        )
    if row.perhaps:
        found.append(words("but only if it was about their own account, or about what the task is for"))
    return found


def _way(text: str) -> str:
    kind, _, name = text.partition(":")
    if kind == "role":
        return words("the role %(role)s", role=as_words(name.capitalize()))
    known = table({"task": "an open task", "own": "their own account", "public": "what everybody may"})
    return known.get(kind, as_words(text))
