"""Pages of the team's people and roles."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from subscription_services.access.approval_model import Way
from subscription_services.access.approval_queries import ApprovalRequest
from subscription_services.access.operations.approvals import AskApproval, ask_approval
from subscription_services.access.operations.leavers import deactivate_leaver
from subscription_services.access.operations.people import (
    GrantRole,
    MyPermissions,
    People,
    Permissions,
    confirm_role,
    end_grant,
    grant_role,
    invite,
    my_permissions,
    people,
)
from subscription_services.access.policy import ROLE_SUMMARIES
from subscription_services.access.queries import Team, TeamPerson
from subscription_services.access.review_policy import grace
from subscription_services.kernel.actors import Role
from subscription_services.kernel.authorise import canonical
from subscription_services.kernel.errors import DomainError, NotFound, Refusal
from subscription_services.kernel.perform import perform
from subscription_services.kernel.words import as_words, table, words
from subscription_services.web import notices
from subscription_services.web.call import Call
from subscription_services.web.forms import FormState, parse
from subscription_services.web.page import Choice
from subscription_services.web.routes import Route, get, post

from .console import DAYS, ROLE_CHOICES, enter, waits

INVITED = notices.declare("access-invited", "success", "The invitation is on its way by mail. They hold no role yet.")
INVITED_ASKED = notices.declare(
    "access-invited-asked",
    "success",
    "The invitation is on its way by mail. The role waits for somebody else to approve it; then carry it out here.",
)
INVITED_WAITS = notices.declare(
    "access-invited-waits", "warning",
    "The invitation is on its way by mail. Nobody else could approve the role, so it waits, and everybody was told.",
)  # fmt: skip
ROLE_FIELDS = ("role", "days", "reason")
GRANTED = notices.declare("access-granted", "success", "The role holds from now on.")
ENDED = notices.declare("access-ended", "success", "The role has ended, in every open session.")
LABELS = table({"name": "the name", "role": "a role", "reason": "a reason", "days": "how long"})
LEFT = notices.declare(
    "access-left", "success", "Every session, role, program, token and link of this person has ended."
)
LEAVING = "leaving"
CONFIRM = "confirm-"
CONFIRMED = notices.declare("access-role-confirmed", "success", "The role stays.")


async def show_people(call: Call) -> Response:
    """Everybody on the team."""
    may = enter(call)
    team: Team = await call.perform(people, People())
    may_invite = invite.name in may
    return call.render(
        "access/people.html", team=team, may_invite=may_invite, names=_names(team), now=call.now, others=team.others,
        nobody=len(team.administrators) < 2, waits=waits(),
    )  # fmt: skip


async def show_person(call: Call) -> Response:
    """One person and their roles."""
    return await _person(call, {})


async def show_invite(call: Call) -> Response:
    """The form of an invitation."""
    enter(call)
    mine: Permissions = await call.perform(my_permissions, MyPermissions())
    if invite.name not in {item.operation for item in mine.operations}:
        raise Refusal()
    return _invite(call, FormState())


async def send_invite(call: Call) -> Response:
    """Two operations: the account and its letter, which one person may do, and the question for its role."""
    enter(call)
    fields = await call.fields()
    if wrong := _role_wrong(fields):
        return _invite(call, wrong, 422)
    done = await call.submit(invite, labels=LABELS)
    if done.form:
        return _invite(call, done.form, done.status)
    if not fields.get("role"):
        return call.go(_path(done.answer.account), INVITED)
    days = int(fields["days"]) if fields.get("days") else None
    wanted = GrantRole(done.answer.account, Role(fields["role"]), fields["reason"].strip(), days)
    question = AskApproval(grant_role.name, canonical(wanted).decode(), wanted.reason)
    try:
        # not call.perform: the route declares the invitation, which is done; this only asks others for something
        asked: ApprovalRequest = await perform(
            call.site.kernel, ask_approval, call.actor, question, origin=call.origin,
            correlation_id=call.request.scope.get("state", {}).get("request_id") or None,
        )  # fmt: skip
    except DomainError:  # in the log; the account stands, and its page offers to ask again
        return call.go(_path(done.answer.account), INVITED)
    return call.go(f"/team/approvals/{asked.id}", INVITED_ASKED if asked.way is Way.PEOPLE else INVITED_WAITS)


async def give_role(call: Call) -> Response:
    account = call.path("id")
    done = await call.submit(grant_role, labels=LABELS, given={"account": account})
    return await _person(call, {"": done.form}, done.status) if done.form else call.go(_path(account), GRANTED)


async def end_role(call: Call) -> Response:
    grant = call.path("grant")
    done = await call.submit(end_grant, labels=LABELS, given={"id": grant})
    return await _person(call, {grant: done.form}, done.status) if done.form else call.go(_path(call.path("id")), ENDED)


async def confirm(call: Call) -> Response:
    grant = call.path("grant")
    done = await call.submit(confirm_role, labels=LABELS, given={"id": grant})
    if done.form is None:
        return call.go(_path(call.path("id")), CONFIRMED)
    return await _person(call, {f"{CONFIRM}{grant}": done.form}, done.status)


async def deactivate(call: Call) -> Response:
    account = call.path("id")
    done = await call.submit(deactivate_leaver, labels=LABELS, given={"id": account})
    return await _person(call, {LEAVING: done.form}, done.status) if done.form else call.go(_path(account), LEFT)


def people_routes() -> tuple[Route, ...]:
    return (
        get("/team/people", show_people, people),
        get("/team/people/invite", show_invite, my_permissions),
        post("/team/people/invite", send_invite, invite),
        get("/team/people/{id}", show_person, people),
        post("/team/people/{id}/roles", give_role, grant_role),
        post("/team/people/{id}/deactivate", deactivate, deactivate_leaver),
        post("/team/people/{id}/grants/{grant}/end", end_role, end_grant),
        post("/team/people/{id}/grants/{grant}/confirm", confirm, confirm_role),
    )


def _role_wrong(fields: Mapping[str, str]) -> FormState | None:
    """The form again where the part about the role cannot be asked for, before anything is done."""
    if not fields.get("role"):
        return None
    given = {name: fields[name] for name in ROLE_FIELDS if fields.get(name)}
    posted = parse({**given, "account": "acc_new"}, GrantRole, labels=LABELS)
    return None if posted.request is not None else FormState(dict(fields), posted.state.errors)


def _invite(call: Call, form: FormState, status: int = 200) -> Response:
    none = Choice("", words("No role yet"), words("They can sign in, and do nothing for the team."))
    roles = [none, *(Choice(role.value, as_words(role.value.capitalize()), ROLE_SUMMARIES[role]) for role in Role)]
    return call.render("access/invite.html", status, form=form, roles=roles, days=DAYS)


async def _person(call: Call, forms: dict[str, FormState], status: int = 200) -> Response:
    """`forms` are those to show again: by grant, and "" for a new role. Each has ids of its own on the page."""
    may = enter(call)
    team: Team = await call.perform(people, People())
    person = _find(team, call.path("id"))
    held = {grant.role for grant in person.grants}
    keys = ["", LEAVING, *(f"{what}{grant.id}" for grant in person.grants for what in ("", CONFIRM))]
    shown = {key: _apart(forms.get(key, FormState()), key) for key in keys}
    return call.render(
        "access/person.html", status, person=person, forms=shown, names=_names(team), summaries=ROLE_SUMMARIES,
        may_grant=grant_role.name in may and person.id != call.actor.id, may_end=end_grant.name in may,
        may_confirm=confirm_role.name in may and person.id != call.actor.id, CONFIRM=CONFIRM,
        roles=[("", words("Choose a role")), *(choice for choice in ROLE_CHOICES if Role(choice[0]) not in held)],
        may_deactivate=deactivate_leaver.name in may and person.state != "closed", LEAVING=LEAVING,
        days=DAYS, open_grant=next((key for key in forms if key), ""), now=call.now,
        asked_at=lambda end: max(end - grace(), call.now),
    )  # fmt: skip


def _apart(form: FormState, key: str) -> FormState:
    return FormState(form.values, form.errors, form.problem, f"{key or 'new'}-")


def _find(team: Team, identifier: str) -> TeamPerson:
    for person in team.people:
        if person.id == identifier:
            return person
    raise NotFound()


def _names(team: Team) -> dict[str, str]:
    return {person.id: person.name for person in team.people}


def _path(account: str) -> str:
    return f"/team/people/{account}"
